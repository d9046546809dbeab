"""RunIdentity: which run a folder holds, wherever the folder was moved or copied to.

`identity.json` says it. The folders of earlier versions have none: their run takes its identity
from the first line of its log, so that whoever asks gets the same answer.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

IDENTITY: Final = "identity.json"
_LOG: Final = "run.jsonl"
_OUTBOX_ID: Final = "run_id"
"""Where earlier versions kept the identity of runs that had something for a library."""


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """A run, and which attempt at it."""

    run_id: str
    """32 hexadecimal digits."""
    attempt: int = 0
    """How often the run had been resumed when this attempt at it began."""


def read_identity(folder: Path) -> RunIdentity | None:
    """Return the identity of the run in a folder, with its newest attempt; None if there is no run.

    Raises:
        OSError: A file of the folder cannot be read.
    """
    path, earlier, log = folder / IDENTITY, folder / _OUTBOX_ID, folder / _LOG
    if path.exists():
        content = json.loads(path.read_bytes())
        return RunIdentity(run_id=content["run_id"], attempt=content["attempts"])
    if earlier.exists():
        return RunIdentity(run_id=earlier.read_text(encoding="utf-8").strip())
    if log.exists():
        with log.open("rb") as lines:
            first = lines.readline()
        if first:
            return RunIdentity(run_id=hashlib.sha256(first).hexdigest()[:32])
    return None
