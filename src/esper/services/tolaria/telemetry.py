"""Telemetry: each line of a run, from the log to whoever follows the run.

The log comes first and is the truth. A copy of each line is handed to a `Publisher`, which takes
it in no time and never raises: nothing that happens out there reaches the training.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from esper.contracts.enums import TopicNames
from esper.contracts.operational import FieldReport
from esper.contracts.platform_events import FieldReported
from esper.contracts.ports import Publisher
from esper.contracts.records import RunLine, RunRecords
from esper.contracts.topics import topic_of
from esper.services.tolaria.run_log import RunLog
from esper.services.tolaria.run_progress import Progress
from esper.utils.logging import bind_run
from esper.utils.run_identity import RunIdentity
from esper.utils.spans import belong_to, root_of
from esper.utils.trace import trace_id_of

OnEvent = Callable[[Mapping[str, Any]], None]
"""Takes each record of the run log as it is written: ``{"type": "step", "step": 50, …}``."""

_GRAFT = "graft"
"""The one verdict that does not end an adaptation: its kernel is still to be judged."""


class Telemetry:
    """Takes the records of one attempt at a run.

    Args:
        log: the run log, at the point at which the attempt goes on.
        identity: of the run and the attempt.
        folder: of the run.
        progress: counts the adaptations that are over.
        on_event: shown every record.
        publisher: sends the lines; None sends none.
        clock: seconds, never running backwards.
    """

    def __init__(
        self,
        log: RunLog,
        identity: RunIdentity,
        folder: Path,
        progress: Progress,
        *,
        on_event: OnEvent | None = None,
        publisher: Publisher | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run_id = identity.run_id
        """Which run."""
        self._log = log
        self._identity = identity
        self._kept = log.length
        self._folder = str(folder.absolute())
        self._progress = progress
        self._on_event = on_event
        self._publisher = publisher
        self._clock = clock
        self._logged: tuple[int, float] | None = None
        """Step and time of the ``step`` record before."""
        self._context = bind_run(identity.run_id, rank=int(os.environ.get("RANK", "0")))
        self._enter()

    def write(self, record: Mapping[str, Any], *, trace_id: str | None = None) -> None:
        """Append a record to the log, show it, and send it; by default in the adaptation's trace."""
        line = self._log.write(record)
        if self._on_event is not None:
            self._on_event(record)
        if self._publisher is not None:
            self._send(self._publisher, self._timed(line), trace_id)
        if _ends_adaptation(record):
            self._progress.adaptations += 1
            self._enter()

    def fail(self, error: BaseException) -> None:
        """Say that the run ended with an error; the log has no line for that."""
        if self._publisher is None:
            return
        words = str(error) or type(error).__name__
        body = {"type": "failed", "step": self._progress.step, "error": words}
        line = RunLine.model_construct(position=self._log.length, body=body)
        self._send(self._publisher, line)

    def close(self) -> None:
        """What the thread does from now on belongs to no adaptation of the run."""
        belong_to(None)
        self._context.unbind()

    def _enter(self) -> None:
        """What the thread does from now on belongs to the adaptation that is next."""
        self._context.generation = self._progress.adaptations
        belong_to(root_of(trace_id_of(self.run_id, self._progress.adaptations)))

    def _send(self, publisher: Publisher, line: RunLine, trace_id: str | None = None) -> None:
        identity, body = self._identity, line.body
        trace_id = trace_id or trace_id_of(identity.run_id, self._progress.adaptations)
        # Not validated: the line was made here, and the sender's thread has the time, not this one.
        records = RunRecords.model_construct(
            run_id=identity.run_id,
            attempt=identity.attempt,
            kept=self._kept,
            folder=self._folder,
            lines=(line,),
        )
        parent = root_of(trace_id).header
        publisher.publish(records, topic=topic_of(body), trace_id=trace_id, traceparent=parent)
        report = body.get("report")
        if body.get("kind") in {"SeedFossilized", "SeedCulled"} and report is not None:
            reported = FieldReported(
                run_id=identity.run_id, report=FieldReport.model_validate(report)
            )
            publisher.publish(
                reported,
                topic=TopicNames.INNOVATION_FIELD_REPORTS,
                trace_id=trace_id,
                traceparent=parent,
            )

    def _timed(self, line: RunLine) -> RunLine:
        """The line with the time of a step, which the log does not have: it does not repeat."""
        if line.body["type"] != "step":
            return line
        now, step = self._clock(), self._progress.step
        before, self._logged = self._logged, (step, now)
        if before is None or step <= before[0]:
            return line
        seconds = (now - before[1]) / (step - before[0])
        return RunLine.model_construct(
            position=line.position, body={**line.body, "step_seconds": seconds}
        )


def _ends_adaptation(record: Mapping[str, Any]) -> bool:
    return record.get("kind") == "VerdictReached" and record["decision"]["verdict"] != _GRAFT
