"""FollowedRuns: shows each new line of a run to metrics, rules and traces, in the store's order.

What is known of a run is rebuilt from the store where it has to be: when Nissa was started in the
middle of the run, and when the run was resumed, which makes lines void that were looked at before.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

from esper.contracts.platform_events import Alert
from esper.contracts.records import LogEntry, RunResumed, RunStarted
from esper.services.nissa.adaptation_traces import AdaptationTracer
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.run_rules import RUN_RULES
from esper.services.nissa.alerts.watch import Watch, ended
from esper.services.nissa.ingest import AddedLine
from esper.services.nissa.nissa_config import LOST_AFTER_SECONDS
from esper.services.nissa.nissa_metrics import ObserverMetrics
from esper.services.nissa.projection import ENDS, record_of
from esper.services.nissa.run_store import RunStore
from esper.utils.logging import get_logger

MOST_RUNS: Final = 100
"""Runs that are followed at once; of more, the one that was silent for longest is looked up again
when it says something."""

_log = get_logger("nissa")


class FollowedRuns:
    """The runs under way."""

    def __init__(
        self,
        store: RunStore,
        config: AlertConfig,
        metrics: ObserverMetrics,
        tracer: AdaptationTracer,
    ) -> None:
        """Begin with no run."""
        self._tracer = tracer
        self._store = store
        self._config = config
        self._metrics = metrics
        self._runs: OrderedDict[str, tuple[Watch, float]] = OrderedDict()
        """What watches each, and when it was heard of last, in seconds since the epoch."""

    @property
    def open(self) -> list[Alert]:
        """The alerts of all runs that last."""
        return [alert for watch, _ in self._runs.values() for alert in watch.open]

    async def follow(self, new: AddedLine, *, now: float) -> list[Alert]:
        """Look at a line that nobody has seen yet; return the alerts that it raises or ends.

        Args:
            new: The line.
            now: The time, in seconds since the epoch.

        Raises:
            RunStoreError: The run's earlier lines cannot be read.
        """
        record, changed = new.record, list[Alert]()
        if record is None:
            self._metrics.failed("line")
            _log.warning(
                "a line is of a kind that is not known here; it is stored, and not followed",
                type=new.line.body.get("type"),
                kind=new.line.body.get("kind"),
            )
            return changed
        self._metrics.runs.count(record)
        self._metrics.runs.show(new.run_id, record)
        watch, _ = self._runs.get(new.run_id, (None, 0.0))
        if watch is None or isinstance(record, RunResumed):
            before = () if watch is None else watch.open
            watch = await self._rebuilt(new, record)
            still = {alert.alert_id for alert in watch.open}
            changed = [ended(one, new.line.at) for one in before if one.alert_id not in still]
        self._runs[new.run_id] = watch, now
        self._runs.move_to_end(new.run_id)
        if len(self._runs) > MOST_RUNS:
            self._let_go(next(iter(self._runs)))
        changed += watch.follow(new.line, record)
        self._tracer.follow(new.run_id, new.line, record, now=now)
        if isinstance(record, ENDS):
            self._let_go(new.run_id)
        return changed

    def tick(self, at: datetime) -> list[Alert]:
        """Let go of runs that have said nothing for so long that they count as lost.

        Returns:
            Their alerts, ended: nothing of them goes on.
        """
        over: list[Alert] = []
        for run_id, (watch, heard) in list(self._runs.items()):
            if at.timestamp() - heard > LOST_AFTER_SECONDS:
                self._let_go(run_id)
                over += watch.end(at)
        return over

    def _let_go(self, run_id: str) -> None:
        del self._runs[run_id]
        self._metrics.runs.forget(run_id)

    async def _rebuilt(self, new: AddedLine, record: LogEntry) -> Watch:
        """Return a watch that has seen what the store holds of the run from before the line."""
        watch = Watch(RUN_RULES, self._config, new.run_id)
        self._tracer.forget(new.run_id)
        if isinstance(record, RunStarted):
            return watch
        # Lines stand as they came in; void ones are gone.
        async for line in self._store.every_line(new.run_id):
            if line.cursor >= new.line.cursor:
                break
            # What cannot be read was counted when it came.
            if (earlier := record_of(line.body)) is not None:
                watch.follow(line, earlier)
                self._tracer.recall(new.run_id, line, earlier)
        return watch
