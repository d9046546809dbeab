"""Telemetry: each line of a run, from the log to whoever follows the run.

The log comes first and is the truth. A copy of each line is handed to a `Publisher`, which takes
it in no time and never raises: nothing that happens out there reaches the training.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Self

from pydantic import BaseModel

from esper.contracts.enums import TopicNames, Verdict
from esper.contracts.events import Event, SeedCulled, SeedFossilized, VerdictReached
from esper.contracts.messages import topic_of
from esper.contracts.platform_events import FieldReported
from esper.contracts.ports import Publisher
from esper.contracts.records import LogEntry, Record, RunFailed, RunLine, RunRecords, StepLogged
from esper.services.tolaria.run_log import RunLog
from esper.services.tolaria.run_progress import Progress
from esper.utils.logging import RunContext, bind_run
from esper.utils.run_identity import RunIdentity
from esper.utils.spans import belong_to, root_of, trace_id_of

OnEvent = Callable[[LogEntry], None]
"""Takes each record and event of the run log as it is written."""


class Telemetry:
    """Takes the records of one attempt at a run. Implements the port `TelemetrySink`.

    A checkpoint may be restored before the log is open: what is emitted by then waits for `open`.

    Args:
        on_event: shown every record.
        publisher: sends the lines; None sends none.
        clock: seconds, never running backwards.
    """

    def __init__(
        self,
        *,
        on_event: OnEvent | None = None,
        publisher: Publisher | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._early: list[Event] = []
        self._on_event = on_event
        self._publisher = publisher
        self._clock = clock
        self._log: RunLog | None = None
        self._identity = RunIdentity(run_id="")
        self._progress = Progress()
        self._kept = 0
        self._folder = ""
        self._logged: tuple[int, float] | None = None
        """Step and time of the ``step`` record before."""
        self._context: RunContext | None = None

    @property
    def run_id(self) -> str:
        """Which run; empty until its log is open."""
        return self._identity.run_id

    def open(
        self, log: RunLog, identity: RunIdentity, progress: Progress, first: Sequence[Record]
    ) -> None:
        """Begin: the first lines of the attempt, what has waited, and from now on everything.

        Args:
            log: the run log, in the run's folder, at the point at which the attempt goes on.
            identity: of the run and the attempt.
            progress: counts the adaptations that are over.
            first: the lines to begin with.
        """
        self._log, self._identity, self._progress = log, identity, progress
        self._kept, self._folder = log.length, str(log.path.parent.absolute())
        self._context = bind_run(identity.run_id, rank=int(os.environ.get("RANK", "0")))
        self._enter()
        entries: list[LogEntry] = [*first, *self._early]
        for entry in entries:
            self.write(entry)
        self._early.clear()

    def emit(self, event: BaseModel) -> None:
        """Write an event of the growth cycle."""
        assert isinstance(event, Event)  # the orchestrator emits no others
        if self._log is None:
            self._early.append(event)
        else:
            self.write(event)

    def write(self, record: LogEntry, *, trace_id: str | None = None) -> None:
        """Append a record to the log, show it, and send it; by default in the adaptation's trace."""
        assert self._log is not None  # opened first
        timed = self._timed(record)
        line = self._log.write(record)
        if self._on_event is not None:
            self._on_event(timed)
        self._send(timed, line, trace_id)
        if isinstance(record, VerdictReached) and record.decision.verdict is not Verdict.GRAFT:
            self._progress.adaptations += 1
            self._enter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """What the thread does from now on belongs to no adaptation of the run.

        Of an error only the followers hear: the log has no line for the end of an attempt.
        """
        if error is not None and self._log is not None:
            failed = RunFailed(step=self._progress.step, error=str(error) or type(error).__name__)
            line = RunLine(position=self._log.length, body=failed.model_dump(mode="json"))
            self._send(failed, line)
        belong_to(None)
        if self._context is not None:
            self._context.unbind()

    def _enter(self) -> None:
        """What the thread does from now on belongs to the adaptation that is next."""
        assert self._context is not None  # opened first
        self._context.generation = self._progress.adaptations
        belong_to(root_of(trace_id_of(self.run_id, self._progress.adaptations)))

    def _send(self, record: LogEntry, line: RunLine, trace_id: str | None = None) -> None:
        publisher = self._publisher
        if publisher is None:
            return
        if isinstance(record, StepLogged):
            body = {**line.body, "step_seconds": record.step_seconds}
            line = RunLine.model_construct(position=line.position, body=body)
        trace_id = trace_id or trace_id_of(self.run_id, self._progress.adaptations)
        # Not validated: the line was made here, and the sender's thread has the time, not this one.
        records = RunRecords.model_construct(
            run_id=self.run_id,
            attempt=self._identity.attempt,
            kept=self._kept,
            folder=self._folder,
            lines=(line,),
        )
        parent = root_of(trace_id).header
        publisher.publish(records, topic=topic_of(line.body), trace_id=trace_id, traceparent=parent)
        if isinstance(record, SeedFossilized | SeedCulled) and record.report is not None:
            publisher.publish(
                FieldReported(run_id=self.run_id, report=record.report),
                topic=TopicNames.INNOVATION_FIELD_REPORTS,
                trace_id=trace_id,
                traceparent=parent,
            )

    def _timed(self, record: LogEntry) -> LogEntry:
        """A point of the curve with the time of its steps."""
        if not isinstance(record, StepLogged):
            return record
        now, step = self._clock(), record.step
        before, self._logged = self._logged, (step, now)
        if before is None or step <= before[0]:
            return record
        seconds = (now - before[1]) / (step - before[0])
        return record.model_copy(update={"step_seconds": seconds})
