from __future__ import annotations

import re

from esper.dashboard.chart_library import ENTRY, chart_library
from esper.dashboard.mount import ASSETS


def test_the_installed_package_brings_the_module_that_the_page_imports() -> None:
    text = (chart_library() / ENTRY).read_text()
    assert re.search(r"as echarts\b", text)
    for part in re.findall(r'from"\./([^"]+)"', text):
        assert (chart_library() / part).is_file()
    assert "/assets/charts/index.js" in (ASSETS / "charts.js").read_text()
