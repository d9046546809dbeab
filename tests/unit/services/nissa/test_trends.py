"""What the counters were, over time."""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from esper.services.nissa.trends import Trends


def test_a_counter_has_a_rate_and_a_gauge_its_extremes() -> None:
    registry = CollectorRegistry()
    counter, gauge = Counter("c", "", registry=registry), Gauge("g", "", registry=registry)
    trends = Trends(registry, 10)
    for second, value in enumerate((3.0, 1.0, 2.0)):
        counter.inc(5)
        gauge.set(value)
        trends.read(100.0 + 10 * second)
    counted, gauged = trends.summary()
    assert (counted.name, counted.per_second, counted.last) == ("c_total", 0.5, 15.0)
    assert (gauged.lowest, gauged.highest, gauged.mean, gauged.per_second) == (1.0, 3.0, 2.0, None)
    (trend,) = trends.trends(["g"])
    assert trend.times == (100.0, 110.0, 120.0)
    assert trend.values == (3.0, 1.0, 2.0)


def test_only_the_last_readings_are_kept_and_what_is_gone_is_forgotten() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("g", "", ("run",), registry=registry)
    gauge.labels("r").set(1)
    trends = Trends(registry, 3)
    for second in range(5):
        trends.read(float(second))
    assert trends.trends()[0].times == (2.0, 3.0, 4.0)
    gauge.remove("r")
    for second in range(3):
        trends.read(10.0 + second)
    assert trends.trends() == []


def test_what_is_no_number_is_none_and_buckets_are_left_out() -> None:
    registry = CollectorRegistry()
    Gauge("g", "", registry=registry).set(math.nan)
    Histogram("h", "", registry=registry).observe(1.0)
    trends = Trends(registry, 3)
    trends.read(1.0)
    assert {reading.name: reading.value for reading in trends.current()} == {
        "g": None,
        "h_count": 1.0,
        "h_sum": 1.0,
    }
    assert trends.trends(["g"])[0].values == (None,)
    assert next(s for s in trends.summary() if s.name == "g").mean is None
