"""Backfill: a run's folder read into the store, whole; what the store has already stays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from esper.contracts.enums import TopicNames
from esper.contracts.errors import RunStoreError
from esper.contracts.messages import OonaMessage
from esper.contracts.ports import Delivery
from esper.contracts.records import RunLine
from esper.contracts.records import RunRecords
from esper.services.nissa.run_store import RunStore

LOG: Final = "run.jsonl"
IDENTITY: Final = "identity.json"

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
        RunStoreError: The folder holds no run, its log cannot be read, or the store cannot serve.
    """
    new = 0
    for delivery in deliveries_of(folder):
        new += len(await store.append([delivery]))
    return new


def deliveries_of(folder: Path) -> Iterator[Delivery]:
    """Yield a folder's log as if it came over the bus.

    Raises:
        RunStoreError: The folder holds no run, or its log cannot be read.
    """
    lines = tuple(read_log(folder))
    run_id, attempt = identity_of(folder)
    for begin in range(0, len(lines), _AT_ONCE):
        records = RunRecords(
            run_id=run_id,
            attempt=attempt,
            folder=str(folder.absolute()),
            lines=lines[begin : begin + _AT_ONCE],
        )
        message = OonaMessage.of(
            records,
            sender_id=f"tolaria/{run_id}",
            topic=TopicNames.EVENTS_TRAINING,
            trace_id=hashlib.sha256(run_id.encode()).hexdigest()[:32],
        )
        # The log does not say when its lines were written; the file knows when the last was.
        at = datetime.fromtimestamp((folder / LOG).stat().st_mtime, UTC)
        message = message.model_copy(update={"timestamp": at})
        yield Delivery(message=message, position=str(begin), group="import")


def identity_of(folder: Path) -> tuple[str, int]:
    """Return the id of the run in a folder, and how often it was resumed.

    A folder of a version that gave no id has one that follows from the log's first line.

    Raises:
        RunStoreError: The folder holds no run, or its identity is damaged.
    """
    try:
        told = json.loads((folder / IDENTITY).read_bytes())
        return str(told["run_id"]), int(told["attempts"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunStoreError(f"{folder / IDENTITY} cannot be read: {error}") from error
    first = next((line for line in read_log(folder)), None)
    if first is None:
        raise RunStoreError(f"{folder / LOG} is empty: the run had not begun")
    digest = hashlib.sha256(orjson.dumps(first.body, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return digest[:32], 0


def read_log(folder: Path) -> Iterator[RunLine]:
    """Yield the lines of a run's log; a last line that was cut off is left out.

    Raises:
        RunStoreError: There is no log, it cannot be read, or a line is no JSON object.
    """
    position = 0
    try:
        with (folder / LOG).open("rb") as file:
            for text in file:
                if not text.endswith(b"\n"):
                    return
                body = orjson.loads(text)
                if not isinstance(body, dict):
                    raise RunStoreError(f"{folder / LOG}: byte {position} begins no JSON object")
                yield RunLine(position=position, body=body)
                position += len(text)
    except FileNotFoundError as error:
        raise RunStoreError(
            f"{folder} holds no run: there is no {LOG} in it; give the folder that `esper train` "
            "wrote"
        ) from error
    except OSError as error:
        raise RunStoreError(f"{folder / LOG} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RunStoreError(f"{folder / LOG}: the line at byte {position} is damaged") from error
