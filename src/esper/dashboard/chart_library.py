"""Where the chart library is: Apache ECharts, as the package `nicegui` brings it.

Only its file is served to the browser; nothing of the package is imported. Why the pages
themselves are not made with it, the lab notebook says.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from esper.contracts.errors import ConfigError

ENTRY: Final = "index.js"
"""The module that the browser imports."""


def chart_library() -> Path:
    """Return the folder with the chart library's modules.

    Raises:
        ConfigError: The package that brings it is not installed, or has it no longer.
    """
    spec = find_spec("nicegui")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    for place in places:
        folder = Path(place) / "elements" / "echart" / "dist"
        if (folder / ENTRY).is_file():
            return folder
    raise ConfigError(
        "the dashboard finds no chart library; install it with "
        "pip install 'esper-morphogenetic[dashboard]'"
    )
