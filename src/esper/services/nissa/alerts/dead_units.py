"""Dead units: most units of a layer no longer vary."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.events import AnyEvent, HealthMeasured
from esper.contracts.records import AnyRecord
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.finding import NOTHING, Finding, Findings, RunRule


class DeadUnits(RunRule):
    """Counts, layer by layer, measurements in a row that say so."""

    rule = AlertRule.DEAD_UNITS

    def __init__(self, config: AlertConfig) -> None:
        self._config = config
        self._in_a_row: Counter[str] = Counter()

    def observe(self, record: AnyRecord | AnyEvent, at: datetime) -> Findings:
        """Look at every layer's health."""
        if not isinstance(record, HealthMeasured):
            return NOTHING
        found: dict[str, Finding | None] = {}
        for signal in record.signals:
            name, share = signal.layer_name, signal.dead_neuron_ratio
            if share is None:
                continue
            if share < self._config.dead_share:
                self._in_a_row[name] = 0
                found[name] = None
                continue
            self._in_a_row[name] += 1
            if self._in_a_row[name] >= self._config.dead_measurements:
                message = f"{share:.0%} of the units of layer {name} do not vary any more"
                found[name] = Finding(severity=Severity.WARNING, message=message)
        return found
