"""Where runs are stored, and how long nothing must be heard of one until it counts as lost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import platformdirs

LOST_AFTER_SECONDS: Final = 300.0
"""A run that is under way and says nothing for so long counts as lost."""


def default_url(environ: Mapping[str, str] | None = None) -> str:
    """Return the URL of the run store of this user: `$ESPER_HOME/runs.db`, or in the data folder.

    `ESPER_RUN_STORE` names another one.
    """
    environment = os.environ if environ is None else environ
    named = environment.get("ESPER_RUN_STORE")
    if named:
        return named
    home = environment.get("ESPER_HOME")
    base = Path(home).expanduser() if home else platformdirs.user_data_path("esper")
    return f"sqlite:///{base.absolute() / 'runs.db'}"
