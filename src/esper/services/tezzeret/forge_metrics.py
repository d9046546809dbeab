"""Metrics: what a forge counts, at `/metrics` of its probes.

Builds are told of over the bus; Nissa counts them.

| metric | labels | what it is |
|---|---|---|
| `esper_tezzeret_workers` | | workers that are alive |
| `esper_tezzeret_workers_wanted` | | workers that there should be |
| `esper_tezzeret_worker_starts_total` | | times that a worker was started; more than are wanted means that some ended |
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector


class ForgeMetrics(Collector):
    """Reads a forge's figures when it is asked for them.

    Args:
        wanted: Workers that there should be.
        alive: Returns how many there are.
        starts: Returns how often one was started.
    """

    def __init__(self, *, wanted: int, alive: Callable[[], int], starts: Callable[[], int]) -> None:
        self._wanted, self._alive, self._starts = wanted, alive, starts
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def collect(self) -> list[GaugeMetricFamily | CounterMetricFamily]:
        """Return the figures as they are now."""
        return [
            GaugeMetricFamily(
                "esper_tezzeret_workers", "Workers that are alive.", value=self._alive()
            ),
            GaugeMetricFamily(
                "esper_tezzeret_workers_wanted", "Workers that should be.", value=self._wanted
            ),
            CounterMetricFamily(
                "esper_tezzeret_worker_starts",
                "Times that a worker was started; more than are wanted means that some ended.",
                value=self._starts(),
            ),
        ]

    def text(self) -> str:
        """Return the figures in Prometheus' text format."""
        return generate_latest(self._registry).decode()
