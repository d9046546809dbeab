"""Metrics: what a forge counts, at `/metrics` of its probes.

Builds are told of over the bus; Nissa counts them.

| metric | labels | what it is |
|---|---|---|
| `esper_tezzeret_workers` | | workers that are alive |
| `esper_tezzeret_workers_wanted` | | workers that there should be |
| `esper_tezzeret_worker_starts_total` | | times that a worker was started; more than are wanted means that some ended |
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from esper.services.tezzeret.supervisor import Supervisor


class ForgeMetrics(Collector):
    """Reads a forge's figures when it is asked for them.

    Args:
        forge: What runs it.
    """

    def __init__(self, forge: Supervisor) -> None:
        self._forge = forge
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Yield the figures as they are now."""
        name, forge = "esper_tezzeret_worker", self._forge
        yield GaugeMetricFamily(f"{name}s", "Workers that are alive.", value=forge.alive())
        yield GaugeMetricFamily(f"{name}s_wanted", "Workers that should be.", value=forge.wanted)
        text = "Times that a worker was started; more than are wanted means that some ended."
        yield CounterMetricFamily(f"{name}_starts", text, value=forge.starts)

    def text(self) -> str:
        """Return the figures in Prometheus' text format."""
        return generate_latest(self._registry).decode()
