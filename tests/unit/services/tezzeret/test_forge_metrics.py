from __future__ import annotations

import re

from esper.services.tezzeret import forge_metrics as module
from esper.services.tezzeret.forge_metrics import ForgeMetrics


def test_the_figures_are_those_of_the_moment() -> None:
    alive = [1]
    metrics = ForgeMetrics(wanted=2, alive=lambda: alive[0], starts=lambda: 7)
    assert "esper_tezzeret_workers 1.0" in metrics.text()
    alive[0] = 2
    lines = metrics.text().splitlines()
    assert "esper_tezzeret_workers 2.0" in lines
    assert "esper_tezzeret_workers_wanted 2.0" in lines
    assert "esper_tezzeret_worker_starts_total 7.0" in lines


def test_every_metric_is_documented_and_no_other() -> None:
    metrics = ForgeMetrics(wanted=1, alive=lambda: 1, starts=lambda: 1)
    counted = set(re.findall(r"^(esper_\w+) ", metrics.text(), re.MULTILINE))
    assert set(re.findall(r"^\| `(esper_\w+)`", module.__doc__ or "", re.MULTILINE)) == counted
