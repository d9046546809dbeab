"""The folders in which Esper keeps what is a user's, unless it is told otherwise."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs


def data_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return `$ESPER_HOME`, or the user's data folder for Esper where that is not set."""
    return _named(environ) or platformdirs.user_data_path("esper")


def cache_home(environ: Mapping[str, str] | None = None) -> Path:
    """Return `$ESPER_HOME`, or the user's cache folder: for what can be had again."""
    return _named(environ) or platformdirs.user_cache_path("esper")


def _named(environ: Mapping[str, str] | None) -> Path | None:
    home = (os.environ if environ is None else environ).get("ESPER_HOME")
    return Path(home).expanduser() if home else None
