"""HealthMonitor: says from health signals which layers are in trouble, and since when."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esper.contracts.enums import ComponentStatus
from esper.utils.ranges import WHOLE, check_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esper.contracts.operational import HealthSignal

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class HealthThresholds:
    """What is no longer healthy. None switches a check off."""

    max_dead_ratio: float | None = 0.5
    """Largest share of dead units."""
    min_effective_rank: float | None = None
    """Smallest effective rank of the output; a head of two classes has hardly more than 1."""
    min_gradient_norm: float | None = 1e-8
    """Smallest gradient norm; below, the layer does not learn."""
    max_gradient_norm: float | None = 1e3
    """Largest gradient norm."""
    min_update_ratio: float | None = None
    """Smallest relative update; a schedule that ends at 0 goes below any."""
    max_update_ratio: float | None = 0.5
    """Largest relative update."""
    max_latency_us: float | None = None
    """Longest forward pass, in microseconds."""
    patience: int = 3
    """Signals in a row with a breach that make a layer UNHEALTHY; before that it is DEGRADED."""

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ConfigError: `patience` is below 1, or a threshold is no finite number.
        """
        check_numbers(self, "HealthThresholds.", patience=WHOLE)


@dataclass(frozen=True, kw_only=True)
class HealthAlert:
    """A layer's status has changed for the worse."""

    layer_name: str
    status: ComponentStatus
    breaches: tuple[str, ...]
    """What is wrong, each with its value and limit."""


class HealthMonitor:
    """Keeps the status of every layer, and logs each change for the worse.

    Args:
        thresholds: What is no longer healthy.
    """

    def __init__(self, thresholds: HealthThresholds | None = None) -> None:
        self.thresholds = thresholds or HealthThresholds()
        self._status: dict[str, ComponentStatus] = {}
        self._streak: dict[str, int] = {}

    def observe(self, signals: Iterable[HealthSignal]) -> list[HealthAlert]:
        """Take in signals; return an alert for each layer that is worse than before.

        What is unhealthy is logged as a warning; what is only degraded, which may pass, for who
        asks for more.
        """
        alerts = []
        for signal in signals:
            name, found = signal.layer_name, breaches(signal, self.thresholds)
            status = self._judge(signal, found)
            before = self._status.get(name, ComponentStatus.UNKNOWN)
            self._status[name] = status
            if _SEVERITY[status] > _SEVERITY[before]:
                level = logging.WARNING if status is ComponentStatus.UNHEALTHY else logging.INFO
                logger.log(level, "layer '%s' is %s: %s", name, status, "; ".join(found))
                alerts.append(HealthAlert(layer_name=name, status=status, breaches=found))
        return alerts

    def status(self, layer_name: str | None = None) -> ComponentStatus:
        """Return a layer's status, or the worst of all; UNKNOWN if nothing was measured."""
        if layer_name is not None:
            return self._status.get(layer_name, ComponentStatus.UNKNOWN)
        return max(self._status.values(), key=_SEVERITY.get, default=ComponentStatus.UNKNOWN)  # type: ignore[arg-type]  # every status has a severity

    def _judge(self, signal: HealthSignal, found: tuple[str, ...]) -> ComponentStatus:
        name = signal.layer_name
        self._streak[name] = self._streak.get(name, 0) + 1 if found else 0
        if not signal.finite or self._streak[name] >= self.thresholds.patience:
            return ComponentStatus.UNHEALTHY
        if found:
            return ComponentStatus.DEGRADED
        measured = any(getattr(signal, field) is not None for field, *_ in _CHECKS)
        return ComponentStatus.HEALTHY if measured else ComponentStatus.UNKNOWN


def breaches(signal: HealthSignal, thresholds: HealthThresholds) -> tuple[str, ...]:
    """Return what is wrong with a layer, each item with its value and limit."""
    found = [] if signal.finite else ["a measurement was NaN or infinite"]
    for field, low, high in _CHECKS:
        value = getattr(signal, field)
        least = getattr(thresholds, low) if low else None
        most = getattr(thresholds, high) if high else None
        if value is None:
            continue
        if least is not None and value < least:
            found.append(f"{field} is {value:.3g}, below {least:.3g}")
        if most is not None and value > most:
            found.append(f"{field} is {value:.3g}, above {most:.3g}")
    return tuple(found)


_CHECKS = (
    ("dead_neuron_ratio", "", "max_dead_ratio"),
    ("effective_rank", "min_effective_rank", ""),
    ("gradient_norm", "min_gradient_norm", "max_gradient_norm"),
    ("update_ratio", "min_update_ratio", "max_update_ratio"),
    ("execution_latency", "", "max_latency_us"),
)
"""Field of a signal, and the thresholds that bound it."""

_SEVERITY = {
    ComponentStatus.UNKNOWN: 0,
    ComponentStatus.HEALTHY: 0,
    ComponentStatus.DEGRADED: 1,
    ComponentStatus.UNHEALTHY: 2,
}
