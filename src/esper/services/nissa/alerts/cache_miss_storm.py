"""Cache miss storm: most loads of a kernel cache find nothing near."""

from __future__ import annotations

from datetime import datetime

from esper.contracts.enums import AlertRule, Severity
from esper.contracts.platform_events import ComponentHealth
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.finding import NOTHING, Finding, Findings, PlatformRule
from esper.services.nissa.details import CacheCounts, kernel_cache


class CacheMissStorm(PlatformRule):
    """Compares a cache's counters with those of its last look, once enough loads lie between."""

    rule = AlertRule.CACHE_MISS_STORM

    def __init__(self, config: AlertConfig) -> None:
        self._config = config
        self._before: dict[str, CacheCounts] = {}

    def heard(self, health: ComponentHealth, at: datetime) -> Findings:
        """Look at the counters that a component sends along."""
        now = kernel_cache(health)
        if now is None:
            return NOTHING
        name = f"{health.component.value}/{health.instance}"
        before = self._before.setdefault(name, CacheCounts(hits=0, misses=0))
        if health.leaving:
            del self._before[name]
            return {name: None}
        hits, misses = now.hits - before.hits, now.misses - before.misses
        loads = hits + misses
        if loads < self._config.miss_loads:
            return NOTHING
        self._before[name] = now
        if misses < self._config.miss_share * loads:
            return {name: None}
        message = f"{misses:,} of the last {loads:,} loads of {name}'s kernel cache found nothing"
        return {name: Finding(severity=Severity.WARNING, message=message)}
