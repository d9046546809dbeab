"""Trends: what the counters were, over the last hour, kept in memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry
from pydantic import Field

from esper.contracts.base import ByName, Contract, Name, Series

_MOST_SERIES: Final = 2000
"""Series that are kept; beyond that, new ones are left out."""
_LEFT_OUT: Final = ("_bucket", "_created")
"""Of a histogram the sum and the count say enough over time."""
_COUNTS: Final = ("_total", "_count", "_sum")
"""How the names end of what only grows."""


class _OfMetric(Contract):
    name: Name
    """The metric."""
    labels: ByName[Name] = Field(default_factory=dict)
    """What tells it apart from its like."""


class Reading(_OfMetric):
    """A metric's value now."""

    value: float | None
    """Its value; None where it is not finite."""


class Summary(_OfMetric):
    """What a metric was over the time that is remembered."""

    last: float | None
    """Its newest value."""
    lowest: float | None
    """Its lowest."""
    highest: float | None
    """Its highest."""
    mean: float | None
    """Their mean."""
    per_second: float | None = None
    """How fast it grew; for counters only, and from two readings on."""


class Trend(_OfMetric):
    """A metric over time."""

    times: Series[float]
    """Seconds since the epoch."""
    values: Series[float | None]
    """One for each time; None where it was not finite."""


_Key = tuple[str, tuple[tuple[str, str], ...]]


class Trends:
    """The last readings of every metric of a registry.

    Args:
        registry: What is read.
        points: Readings that are kept.
    """

    def __init__(self, registry: CollectorRegistry, points: int) -> None:
        self._registry = registry
        self._points = points
        self._kept: dict[_Key, deque[tuple[float, float]]] = {}

    def read(self, now: float) -> None:
        """Take a reading of everything; what is there no longer is forgotten when it is too old."""
        found = dict(self._samples())
        for key, value in found.items():
            if key in self._kept or len(self._kept) < _MOST_SERIES:
                self._kept.setdefault(key, deque(maxlen=self._points)).append((now, value))
        for key in self._kept.keys() - found.keys():
            self._kept[key].popleft()
            if not self._kept[key]:
                del self._kept[key]

    def current(self) -> list[Reading]:
        """Return every metric's value now."""
        return [
            Reading(name=name, labels=dict(labels), value=_finite(value))
            for (name, labels), value in self._samples()
        ]

    def summary(self) -> list[Summary]:
        """Return what each metric was over the time that is remembered."""
        return [self._summary(key, list(kept)) for key, kept in self._kept.items()]

    def trends(self, names: Iterable[str] | None = None) -> list[Trend]:
        """Return the metrics of these names over time; None means all."""
        wanted = None if names is None else set(names)
        return [
            Trend(
                name=key[0],
                labels=dict(key[1]),
                times=tuple(at for at, _ in kept),
                values=tuple(_finite(value) for _, value in kept),
            )
            for key, kept in self._kept.items()
            if wanted is None or key[0] in wanted
        ]

    def _samples(self) -> Iterable[tuple[_Key, float]]:
        for metric in self._registry.collect():
            for sample in metric.samples:
                if not sample.name.endswith(_LEFT_OUT):
                    yield (sample.name, tuple(sample.labels.items())), sample.value

    def _summary(self, key: _Key, kept: list[tuple[float, float]]) -> Summary:
        values = [value for _, value in kept if math.isfinite(value)]
        (first_at, first), (last_at, last) = kept[0], kept[-1]
        grew = key[0].endswith(_COUNTS) and last_at > first_at
        return Summary(
            name=key[0],
            labels=dict(key[1]),
            last=_finite(last),
            lowest=min(values, default=None),
            highest=max(values, default=None),
            mean=math.fsum(values) / len(values) if values else None,
            per_second=_finite((last - first) / (last_at - first_at)) if grew else None,
        )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
