"""Gradient explosion: a layer's gradient grew far above its recent values."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from statistics import median

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.events import AnyEvent, HealthMeasured
from esper.contracts.records import AnyRecord
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.finding import NOTHING, Finding, Findings, RunRule

_ENOUGH = 3
_LEAST = 1e-6
"""Below that a norm is as good as none: a layer that begins to learn has not exploded."""


class GradientExplosion(RunRule):
    """Compares each layer's gradient norm with the median of those before it."""

    rule = AlertRule.GRADIENT_EXPLOSION

    def __init__(self, config: AlertConfig) -> None:
        self._config = config
        self._recent: dict[str, deque[float]] = {}

    def observe(self, record: AnyRecord | AnyEvent, at: datetime) -> Findings:
        """Look at every layer's health."""
        if not isinstance(record, HealthMeasured):
            return NOTHING
        found: dict[str, Finding | None] = {}
        for signal in record.signals:
            if signal.gradient_norm is not None:
                found |= self._judged(signal.layer_name, signal.gradient_norm, record.step)
        return found

    def _judged(self, name: str, norm: float, step: int) -> dict[str, Finding | None]:
        recent = self._recent.setdefault(name, deque(maxlen=self._config.gradient_window))
        before = list(recent)
        recent.append(norm)
        if len(before) < _ENOUGH:
            return {}
        middle = max(median(before), _LEAST)
        if norm <= self._config.gradient_factor * middle:
            return {name: None}
        message = (
            f"the gradient of layer {name} has the norm {norm:.3g} at step {step}, "
            f"{norm / middle:,.0f} times the median of the {len(before)} measurements before"
        )
        return {name: Finding(severity=Severity.CRITICAL, message=message)}
