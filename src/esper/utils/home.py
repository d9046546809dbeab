"""The folder in which Esper keeps a user's data, unless it is told otherwise."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs


def data_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return `$ESPER_HOME`, or the user's data folder for Esper where that is not set."""
    home = (os.environ if environ is None else environ).get("ESPER_HOME")
    return Path(home).expanduser() if home else platformdirs.user_data_path("esper")
