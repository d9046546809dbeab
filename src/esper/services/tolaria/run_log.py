"""The run log: one JSON object a line, appended, and never doubled.

A checkpoint remembers the log's length. Resuming cuts the log back to it, so that the records of
steps that are trained again appear once. A disk that is full does not stop the training: what
could not be written waits in memory for the next write.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from esper.contracts.errors import TrainingError
from esper.contracts.events import Event
from esper.contracts.records import LogEntry, RunLine


class RunLog:
    """Appends records to ``path``.

    Args:
        path: the log; made if needed.
        length: bytes to keep of what is there; more is cut off.

    Raises:
        TrainingError: the file cannot be opened, or is shorter than ``length``.
    """

    def __init__(self, path: Path, *, length: int = 0) -> None:
        self.path = path
        self._pending = b""
        self._length = length
        with ExitStack() as opened:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
                self._file = opened.enter_context(os.fdopen(descriptor, "r+b", buffering=0))
                size = self._file.seek(0, os.SEEK_END)
                if size >= length:
                    self._file.truncate(length)
            except OSError as error:
                raise TrainingError(f"{path} cannot be written: {error.strerror}") from error
            if size < length:
                raise TrainingError(
                    f"{path} holds {size} bytes, but the checkpoint was saved after {length}: the "
                    "log was changed since; put it back, or start again in a new folder"
                )
            opened.pop_all()

    @property
    def length(self) -> int:
        """Bytes of the log with every record so far, for the checkpoint."""
        return self._length + len(self._pending)

    @property
    def is_behind(self) -> bool:
        """Whether records wait in memory because the disk is full."""
        return bool(self._pending)

    def write(self, record: LogEntry) -> RunLine:
        """Append one record. Numbers that are not finite become ``null``.

        Returns:
            The line, as it stands in the log.
        """
        # A log has no times of steps: they do not repeat.
        body = _finite(record.model_dump(mode="json", exclude={"step_seconds"}))
        if isinstance(record, Event):
            body = {"type": "event", **body}
        position = self.length
        line = json.dumps(body, ensure_ascii=False, separators=(",", ":")) + "\n"
        self._pending += line.encode()
        self._flush()
        # Not validated: it was made here, and walking through it would cost more than writing it.
        return RunLine.model_construct(position=position, body=body)

    def sync(self) -> None:
        """Have everything on the disk.

        Raises:
            TrainingError: the disk is full or failing; the records stay in memory.
        """
        problem = self._flush()
        if problem is None:
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                problem = error
        if problem is not None:
            raise TrainingError(
                f"{self.path} cannot be written ({problem.strerror}): make room and resume"
            ) from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits, if that is possible now, and close the file."""
        self._flush()
        self._file.close()

    def _flush(self) -> OSError | None:
        """Write what waits; a write that fails half-way is taken back."""
        try:
            self._file.seek(self._length)
            while self._pending:
                written = self._file.write(self._pending) or 0
                self._pending = self._pending[written:]
                self._length += written
        except OSError as error:
            return error
        return None


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value
