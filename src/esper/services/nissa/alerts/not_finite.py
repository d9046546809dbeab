"""Not finite: a loss or a health measurement is NaN or infinite."""

from __future__ import annotations

from datetime import datetime

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.events import AnyEvent, HealthMeasured
from esper.contracts.records import AnyRecord, Evaluated, StepLogged
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.finding import NOTHING, Finding, Findings, RunRule


class NotFinite(RunRule):
    """Looks whether figures are numbers; the contracts say None, or `finite`, where one is not."""

    rule = AlertRule.NOT_FINITE

    def __init__(self, config: AlertConfig) -> None:
        pass

    def observe(self, record: AnyRecord | AnyEvent, at: datetime) -> Findings:
        """Look at a loss, or at every layer's health."""
        if isinstance(record, StepLogged):
            return _judged("train loss", record.train_loss is not None, record.step)
        if isinstance(record, Evaluated):
            return _judged("growth loss", record.growth_loss is not None, record.step)
        if isinstance(record, HealthMeasured):
            found: dict[str, Finding | None] = {}
            for signal in record.signals:
                found |= _judged(f"layer {signal.layer_name}", signal.finite, record.step)
            return found
        return NOTHING


def _judged(subject: str, finite: bool, step: int) -> dict[str, Finding | None]:
    if finite:
        return {subject: None}
    message = f"{subject}: NaN or infinite at step {step}"
    return {subject: Finding(severity=Severity.CRITICAL, message=message)}
