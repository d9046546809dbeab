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

from pydantic import TypeAdapter, ValidationError

from esper.contracts.base import LONGEST_LINE, Count, RunId
from esper.contracts.errors import RunFolderError
from esper.utils.plain_file import open_plain, read_plain

IDENTITY: Final = "identity.json"
_LOG: Final = "run.jsonl"
_OUTBOX_ID: Final = "run_id"
"""Where earlier versions kept the identity of runs that had something for a library."""


_LONGEST: Final = 64 * 2**10
"""Bytes of a file that holds an identity."""


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """A run, and which attempt at it."""

    run_id: RunId
    """32 hexadecimal digits, where Esper chose them."""
    attempt: Count = 0
    """How often the run had been resumed when this attempt at it began."""


_ADAPTER: Final = TypeAdapter(RunIdentity)


def read_identity(folder: Path) -> RunIdentity | None:
    """Return the identity of the run in a folder, with its newest attempt; None if there is no run.

    Raises:
        RunFolderError: A file of the folder cannot be read, or the identity in it is none.
    """
    for path, read in (
        (folder / IDENTITY, _told),
        (folder / _OUTBOX_ID, _told_to_a_library),
        (folder / _LOG, _of_first_line),
    ):
        try:
            if path.exists():
                return read(path)
        except OSError as error:
            raise RunFolderError(f"{path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in fault["loc"])
            raise RunFolderError(f"{path} names no run: {field}: {fault['msg']}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RunFolderError(f"{path} names no run: {error!r}") from error
    return None


def _told(path: Path) -> RunIdentity:
    content = json.loads(read_plain(path, _LONGEST))
    told = {"run_id": content["run_id"], "attempt": content["attempts"]}
    return _ADAPTER.validate_python(told)


def _told_to_a_library(path: Path) -> RunIdentity:
    return _ADAPTER.validate_python({"run_id": read_plain(path, _LONGEST).decode().strip()})


def _of_first_line(path: Path) -> RunIdentity | None:
    with open_plain(path) as lines:
        first = lines.readline(LONGEST_LINE)
    return RunIdentity(run_id=hashlib.sha256(first).hexdigest()[:32]) if first else None
