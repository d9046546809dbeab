"""Backfill: a run's folder read into the store, whole; what the store has already stays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from esper.contracts.enums import TopicNames
from esper.contracts.errors import RunFolderError
from esper.contracts.messages import OonaMessage
from esper.contracts.ports import Delivery
from esper.contracts.records import RunLine, RunRecords
from esper.services.nissa.run_store import RunStore
from esper.utils.run_identity import IDENTITY, RunIdentity, read_identity

LOG: Final = "run.jsonl"

_AT_ONCE: Final = 2000
"""Lines in one transaction."""


async def import_folder(store: RunStore, folder: Path) -> int:
    """Take in the log of a run's folder.

    Args:
        store: Where to.
        folder: The run's folder, with `run.jsonl` in it.

    Returns:
        How many of its lines the store did not have.

    Raises:
        RunFolderError: The folder holds no run, or its log cannot be read.
        RunStoreError: The store cannot serve.
    """
    new = 0
    for delivery in deliveries_of(folder):
        new += len(await store.append([delivery]))
    return new


def deliveries_of(folder: Path) -> Iterator[Delivery]:
    """Yield a folder's log as if it came over the bus.

    Raises:
        RunFolderError: The folder holds no run, or its log cannot be read.
    """
    lines = list(read_log(folder))
    if not lines:
        raise RunFolderError(f"{folder / LOG} is empty: the run had not begun")
    identity = identity_of(folder)
    # The log does not say when its lines were written; the file knows when the last was.
    at = datetime.fromtimestamp((folder / LOG).stat().st_mtime, UTC)
    for attempt, kept, part in _parts(lines, identity.attempt):
        for begin in range(0, len(part), _AT_ONCE):
            records = RunRecords(
                run_id=identity.run_id,
                attempt=attempt,
                kept=kept,
                folder=str(folder.absolute()),
                lines=tuple(part[begin : begin + _AT_ONCE]),
            )
            message = OonaMessage(
                sender_id=f"tolaria/{identity.run_id}",
                topic=TopicNames.EVENTS_TRAINING,
                payload=records.model_dump(mode="json"),
                trace_id=hashlib.sha256(identity.run_id.encode()).hexdigest()[:32],
                timestamp=at,
            )
            yield Delivery(message=message, position=str(part[begin].position), group="import")


def _parts(lines: Sequence[RunLine], newest: int) -> Iterator[tuple[int, int, Sequence[RunLine]]]:
    """Yield what each attempt wrote: its number, the bytes that it kept, its lines.

    Logs of earlier versions do not number their attempts: the last is the newest there is, and
    those before count down.
    """
    begins = [i for i, line in enumerate(lines) if i and line.body.get("type") == "resume"]
    numbers: list[int] = []
    for begin in reversed(begins):
        told = lines[begin].body.get("attempt")
        numbers.append(told if isinstance(told, int) else newest)
        newest = max(numbers[-1] - 1, 0)
    bounds = [0, *begins, len(lines)]
    for attempt, begin, end in zip([newest, *reversed(numbers)], bounds, bounds[1:], strict=False):
        yield attempt, lines[begin].position if begin else 0, lines[begin:end]


def identity_of(folder: Path) -> RunIdentity:
    """Return which run a folder holds.

    Raises:
        RunFolderError: It holds none, or its identity cannot be read.
    """
    try:
        identity = read_identity(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(f"{folder / IDENTITY} cannot be read: {error}") from error
    if identity is None:
        raise RunFolderError(f"{folder} holds no run; give the folder that `esper train` wrote")
    return identity


def read_log(folder: Path) -> Iterator[RunLine]:
    """Yield the lines of a run's log; a last line that was cut off is left out.

    Raises:
        RunFolderError: There is no log, it cannot be read, or a line is no JSON object.
    """
    position = 0
    try:
        with (folder / LOG).open("rb") as file:
            for text in file:
                if not text.endswith(b"\n"):
                    return
                body = orjson.loads(text)
                if not isinstance(body, dict):
                    raise RunFolderError(f"{folder / LOG}: byte {position} begins no JSON object")
                yield RunLine(position=position, body=body)
                position += len(text)
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{folder} holds no run: there is no {LOG} in it; give the folder that `esper train` "
            "wrote"
        ) from error
    except OSError as error:
        raise RunFolderError(f"{folder / LOG} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RunFolderError(f"{folder / LOG}: the line at byte {position} is damaged") from error
