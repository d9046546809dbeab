"""Kernel caches most of whose loads find nothing."""

from __future__ import annotations

from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.platform_rules import CacheMissStorm
from support.alert_lines import component, moment


def _cache(hits: int, misses: int) -> dict[str, int]:
    return {"hits": hits, "misses": misses}


def test_a_cache_that_misses_nine_of_ten_loads_is_found_and_over_when_it_hits() -> None:
    rule = CacheMissStorm(AlertConfig())
    assert rule.heard(component(kernel_cache=_cache(5, 20)), moment(0)) == {}
    (found,) = rule.heard(component(kernel_cache=_cache(5, 95)), moment(5)).values()
    assert found is not None
    assert "95 of the last 100 loads" in found
    (found,) = rule.heard(component(kernel_cache=_cache(105, 95)), moment(10)).values()
    assert found is None


def test_a_component_without_a_cache_is_not_looked_at() -> None:
    assert CacheMissStorm(AlertConfig()).heard(component(kernel_cache="none"), moment(0)) == {}
