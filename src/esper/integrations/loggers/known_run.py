"""The run of ours that a logger writes down: its name, and the identity that it keeps for life."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from esper.utils.run_identity import read_identity


@dataclass(frozen=True, kw_only=True)
class KnownRun:
    """What a tool is told about a run, so that a resumed one goes on where it was begun."""

    name: str | None = None
    """Name of its folder."""
    run_id: str | None = None
    """Its identity."""

    @classmethod
    def of(cls, folder: str | os.PathLike[str] | None) -> Self:
        """The run in a folder; empty without one, or before the run has begun."""
        if folder is None:
            return cls()
        identity = read_identity(Path(folder))
        name = Path(folder).absolute().name
        return cls(name=name, run_id=None if identity is None else identity.run_id)
