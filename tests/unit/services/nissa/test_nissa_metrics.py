"""Counters outside of runs."""

from __future__ import annotations

from esper.contracts.enums import ComponentName, TopicNames
from esper.contracts.ports import GroupLag
from esper.services.nissa.nissa_metrics import ObserverMetrics
from support.alert_lines import component


def _cache(hits: int, misses: int) -> dict[str, int]:
    return {"hits": hits, "misses": misses}


def _loads(metrics: ObserverMetrics, outcome: str) -> float | None:
    labels = {"component": "tolaria", "outcome": outcome}
    return metrics.registry.get_sample_value("esper_kernel_cache_loads_total", labels)


def test_counters_of_components_add_up_over_instances_and_restarts() -> None:
    metrics, tolaria = ObserverMetrics(), ComponentName.TOLARIA
    for instance, hits in (("1", 5), ("2", 10), ("1", 7), ("2", 3)):
        metrics.heard(component(instance, name=tolaria, kernel_cache=_cache(hits, 1)))
    assert _loads(metrics, "hit") == 17
    metrics.heard(component("1", name=tolaria, leaving=True, kernel_cache=_cache(8, 1)))
    metrics.heard(component("1", name=tolaria, kernel_cache=_cache(2, 0)))
    assert _loads(metrics, "hit") == 20
    assert _loads(metrics, "miss") == 2


def test_groups_of_runs_are_counted_as_one_family() -> None:
    metrics = ObserverMetrics()
    lags = [
        GroupLag(
            topic=TopicNames.CONTROL_KASMINA_COMMANDS,
            group=f"tolaria.run-{number}",
            waiting=number,
            pending=1,
            oldest_seconds=10.0 * number,
            consumers=1,
        )
        for number in range(200)
    ]
    metrics.lagging(lags)
    labels = {"topic": "control.kasmina_commands", "group": "tolaria"}
    value = metrics.registry.get_sample_value
    assert value("esper_bus_pending_messages", labels) == 200
    assert value("esper_bus_oldest_message_seconds", labels) == 1990.0
    metrics.lagging([])
    assert value("esper_bus_pending_messages", labels) is None


def test_components_that_are_gone_are_not_shown() -> None:
    metrics = ObserverMetrics()
    metrics.components({("urza", "healthy"): 1})
    metrics.components({("nissa", "healthy"): 1})
    value = metrics.registry.get_sample_value
    assert value("esper_components", {"component": "urza", "state": "healthy"}) is None
    assert value("esper_components", {"component": "nissa", "state": "healthy"}) == 1
