"""FollowedRuns: shows each new line of a run to metrics, rules and traces, in the store's order.

What is known of a run is rebuilt from the store where it has to be: when Nissa was started in the
middle of the run, and when the run was resumed, which makes lines void that were looked at before.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from esper.contracts.events import AnyEvent
from esper.contracts.platform_events import Alert
from esper.contracts.records import (
    AnyRecord,
    RunEnded,
    RunFailed,
    RunInterrupted,
    RunResumed,
    RunStarted,
    parse_record,
)
from esper.contracts.runs import StoredLine
from esper.services.nissa.adaptation_traces import AdaptationTracer
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.alert_ledger import ended
from esper.services.nissa.alerts.watch import RunWatch
from esper.services.nissa.ingest import AddedLine
from esper.services.nissa.nissa_config import LOST_AFTER_SECONDS
from esper.services.nissa.nissa_metrics import ObserverMetrics
from esper.services.nissa.run_store import RunStore
from esper.utils.logging import get_logger

_MOST: Final = 100
"""Runs that are followed at once; of more, the one that was silent for longest is looked up again
when it says something."""
_PAGE: Final = 1000

_log = get_logger("nissa")


class FollowedRuns:
    """The runs under way."""

    def __init__(
        self,
        store: RunStore,
        config: AlertConfig,
        metrics: ObserverMetrics,
        tracer: AdaptationTracer | None = None,
    ) -> None:
        """Begin with no run."""
        self._tracer = tracer
        self._store = store
        self._config = config
        self._metrics = metrics
        self._runs: OrderedDict[str, RunWatch] = OrderedDict()
        self._heard: dict[str, float] = {}
        """When each of them was heard of last, in seconds since the epoch."""

    @property
    def open(self) -> list[Alert]:
        """The alerts of all runs that last."""
        return [alert for watch in self._runs.values() for alert in watch.open]

    async def follow(self, new: AddedLine, *, now: float) -> list[Alert]:
        """Look at a line that nobody has seen yet; return the alerts that it raises or ends.

        Args:
            new: The line.
            now: The time, in seconds since the epoch.

        Raises:
            RunStoreError: The run's earlier lines cannot be read.
        """
        record = new.record
        if record is None:
            self._metrics.failed("line")
            _log.warning(
                "a line is of a kind that is not known here; it is stored, and not followed",
                type=new.line.body.get("type"),
                kind=new.line.body.get("kind"),
            )
            return []
        self._metrics.runs.count(record)
        self._metrics.runs.show(new.run_id, record)
        changed: list[Alert] = []
        watch = self._runs.get(new.run_id)
        if watch is None or isinstance(record, RunResumed):
            before = () if watch is None else watch.open
            watch = await self._rebuilt(new, record)
            at = new.line.at
            still = {alert.alert_id for alert in watch.open}
            changed += [ended(alert, at) for alert in before if alert.alert_id not in still]
        self._runs[new.run_id] = watch
        self._heard[new.run_id] = now
        self._runs.move_to_end(new.run_id)
        if len(self._runs) > _MOST:
            run_id, _ = self._runs.popitem(last=False)
            del self._heard[run_id]
        changed += watch.follow(new.line, record)
        if self._tracer is not None:
            self._tracer.follow(new.run_id, new.line, record, now=now)
        if isinstance(record, RunEnded | RunInterrupted | RunFailed):
            del self._runs[new.run_id], self._heard[new.run_id]
        return changed

    def tick(self, at: datetime) -> list[Alert]:
        """Let go of runs that have said nothing for so long that they count as lost.

        Returns:
            Their alerts, ended: nothing of them goes on.
        """
        over: list[Alert] = []
        for run_id, heard in list(self._heard.items()):
            if at.timestamp() - heard > LOST_AFTER_SECONDS:
                del self._heard[run_id]
                watch = self._runs.pop(run_id, None)
                over += () if watch is None else watch.end(at)
        return over

    async def _rebuilt(self, new: AddedLine, record: AnyRecord | AnyEvent) -> RunWatch:
        """Return a watch that has seen what the store holds of the run from before the line."""
        watch = RunWatch(new.run_id, self._config)
        if self._tracer is not None:
            self._tracer.forget(new.run_id)
        cursor = -1
        while not isinstance(record, RunStarted):
            lines = await self._store.lines(new.run_id, after=cursor, limit=_PAGE)
            for line in lines:
                # Within a page lines stand as they came in; void ones are gone.
                earlier = _parsed(line) if line.cursor < new.line.cursor else None
                if earlier is not None:
                    watch.follow(line, earlier)
                    if self._tracer is not None:
                        self._tracer.recall(new.run_id, line, earlier)
            if len(lines) < _PAGE or lines[-1].cursor >= new.line.cursor:
                break
            cursor = lines[-1].cursor
        return watch


def _parsed(line: StoredLine) -> AnyRecord | AnyEvent | None:
    try:
        return parse_record(dict(line.body))
    except ValidationError:
        # It was counted when it came.
        return None
