"""Loss spike: the train loss jumped far above its recent values."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from statistics import median

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.events import AnyEvent
from esper.contracts.records import AnyRecord, StepLogged
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.finding import NOTHING, Finding, Findings, RunRule

_ENOUGH = 5
_TO_DEVIATION = 1.4826
"""Of a normal distribution: standard deviation / median absolute deviation."""


class LossSpike(RunRule):
    """Compares each point of the training curve with the median of those before it."""

    rule = AlertRule.LOSS_SPIKE

    def __init__(self, config: AlertConfig) -> None:
        self._config = config
        self._recent: deque[float] = deque(maxlen=config.spike_window)

    def observe(self, record: AnyRecord | AnyEvent, at: datetime) -> Findings:
        """Look at a point of the curve; a spike stays among what later points are compared with."""
        if not isinstance(record, StepLogged) or record.train_loss is None:
            return NOTHING
        loss, before = record.train_loss, list(self._recent)
        self._recent.append(loss)
        if len(before) < _ENOUGH:
            return NOTHING
        middle = median(before)
        deviation = _TO_DEVIATION * median(abs(value - middle) for value in before)
        limit = max(
            middle + self._config.spike_deviations * deviation,
            middle + (self._config.spike_factor - 1.0) * abs(middle),
        )
        if loss <= limit:
            return {"": None}
        message = (
            f"the train loss is {loss:.4g} at step {record.step}, after a median of {middle:.4g} "
            f"over the {len(before)} points before"
        )
        return {"": Finding(severity=Severity.WARNING, message=message)}
