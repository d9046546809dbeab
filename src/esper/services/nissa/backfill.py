"""Backfill: a run's folder read into the store, whole; what the store has already stays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from esper.contracts.base import HIGHEST, LONGEST_LINE
from esper.contracts.errors import RunFolderError
from esper.contracts.records import RunLine, RunRecords
from esper.services.nissa.ingest import Batch
from esper.services.nissa.run_store import RunStore
from esper.utils.plain_file import open_plain
from esper.utils.run_identity import RunIdentity, read_identity

LOG: Final = "run.jsonl"

_MOST_REFUSED: Final = 100
"""Lines of a log that may be left out."""
_AT_ONCE: Final = 2000
"""Lines in one transaction."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What came of an import."""

    new: int
    """Lines that the store did not have."""
    refused: Sequence[str]
    """Lines that are left out: their numbers, the fields, and why."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """What stands in a run's log."""

    lines: list[RunLine] = field(default_factory=list)
    """Its lines, in order, but for damaged ones."""
    numbers: dict[int, int] = field(default_factory=dict)
    """Number of every line by its position, from 1."""
    damaged: dict[int, str] = field(default_factory=dict)
    """What is wrong with lines that are no JSON objects, by position."""


async def import_folder(store: RunStore, folder: Path, *, replace: bool = False) -> Imported:
    """Take in the log of a run's folder.

    Args:
        store: Where to.
        folder: The run's folder, with `run.jsonl` in it.
        replace: Whether it may take the place of a stored run that has its id and another content.

    Raises:
        RunFolderError: The folder holds no run, its log cannot be read, a line that others rest
            upon is refused, or the store has another run under its id.
        RunStoreError: The store cannot serve.
    """
    log = read_log(folder)
    batches = list(batches_of(folder, log))
    refused = _refused(folder, log, batches)
    at = await store.contradiction(batches)
    if at is not None:
        run_id = batches[0].records.run_id
        if not replace:
            raise RunFolderError(
                f"{folder}: the store has another run under its id, {run_id}: they differ at byte "
                f"{at} of {LOG}. `esper runs import --replace` puts this one in its place"
            )
        await store.forget(run_id)
    new = 0
    for batch in batches:
        new += len(await store.append([batch]))
    return Imported(new=new, refused=refused)


def _refused(folder: Path, log: Log, batches: Sequence[Batch]) -> Sequence[str]:
    """Return what is wrong with a log's lines, by their numbers.

    Raises:
        RunFolderError: The others rest upon one of them, or there are too many.
    """
    # The run's name and size, and where an attempt begins, are needed for the rest.
    needed = {0, *(line.position for line in log.lines if line.body.get("type") == "resume")}
    told: list[str] = []
    refused = log.damaged | {at: why for batch in batches for at, why in batch.refused.items()}
    for position in sorted(refused):
        told.append(f"{folder / LOG} line {log.numbers[position]}: {refused[position]}")
        if position in needed:
            raise RunFolderError(f"{told[-1]}; the run cannot be taken in without it")
    if len(told) > _MOST_REFUSED:
        raise RunFolderError(f"{told[0]}; and {len(told) - 1:,} more lines like it")
    return told


def batches_of(folder: Path, log: Log) -> Iterator[Batch]:
    """Yield a folder's log in batches of one attempt each.

    Raises:
        RunFolderError: The folder holds no run.
    """
    identity = identity_of(folder)
    # The log does not say when its lines were written; the file knows when the last was.
    at = datetime.fromtimestamp((folder / LOG).stat().st_mtime, UTC)
    trace_id = hashlib.sha256(identity.run_id.encode()).hexdigest()[:32]
    for attempt, kept, part in _parts(log.lines, identity.attempt):
        for begin in range(0, len(part), _AT_ONCE):
            records = RunRecords(
                run_id=identity.run_id,
                attempt=attempt,
                kept=kept,
                folder=str(folder.absolute()),
                lines=tuple(part[begin : begin + _AT_ONCE]),
            )
            yield Batch.of(records, at, trace_id)


def _parts(lines: Sequence[RunLine], newest: int) -> Iterator[tuple[int, int, Sequence[RunLine]]]:
    """Yield what each attempt wrote: its number, the bytes that it kept, its lines.

    Logs of earlier versions do not number their attempts: the last is the newest there is, and
    those before count down.
    """
    begins = [i for i, line in enumerate(lines) if i and line.body.get("type") == "resume"]
    numbers: list[int] = []
    for begin in reversed(begins):
        told = lines[begin].body.get("attempt")
        numbers.append(told if isinstance(told, int) and 0 <= told <= HIGHEST else newest)
        newest = max(numbers[-1] - 1, 0)
    bounds = [0, *begins, len(lines)]
    for attempt, begin, end in zip([newest, *reversed(numbers)], bounds, bounds[1:], strict=False):
        yield attempt, lines[begin].position if begin else 0, lines[begin:end]


def identity_of(folder: Path) -> RunIdentity:
    """Return which run a folder holds.

    Raises:
        RunFolderError: It holds none, or its identity cannot be read.
    """
    identity = read_identity(folder)
    if identity is None:
        raise RunFolderError(f"{folder} holds no run; give the folder that `esper train` wrote")
    return identity


def read_log(folder: Path) -> Log:
    """Read a run's log; a last line that was cut off is left out.

    Raises:
        RunFolderError: There is no log, it cannot be read, or its first line is damaged.
    """
    path, log, position = folder / LOG, Log(), 0
    try:
        with open_plain(path) as file:
            while (text := file.readline(LONGEST_LINE + 1)).endswith(b"\n"):
                log.numbers[position] = len(log.numbers) + 1
                try:
                    log.lines.append(RunLine(position=position, body=orjson.loads(text)))
                except ValueError as error:
                    is_json = not isinstance(error, orjson.JSONDecodeError)
                    log.damaged[position] = "no JSON object" if is_json else str(error)
                position += len(text)
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{folder} holds no run: there is no {LOG} in it; give the folder that `esper train` "
            "wrote"
        ) from error
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror}") from error
    if len(text) > LONGEST_LINE:
        raise RunFolderError(
            f"{path} line {len(log.numbers) + 1} has more than {LONGEST_LINE} bytes"
        )
    if not log.numbers:
        raise RunFolderError(f"{path} is empty: the run had not begun")
    if 0 in log.damaged:
        raise RunFolderError(f"{path} line 1: {log.damaged[0]}; this is no log of a run")
    return log
