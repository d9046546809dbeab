"""Two ways of doing the same work, run in turn in one process, and how much dearer one is."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

_HALF_WIDTH = 0.98
"""Half of the 95 % interval of a median, in ranks, divided by the root of the sample size."""


@dataclass(frozen=True)
class Comparison:
    """Processor time per step of both, and the ratio of each round (changed / base), sorted.

    Processor time, not wall time: it does not count what other programs do meanwhile. What they
    do to caches and clock rates is left, and shows in the interval.
    """

    base_us: float
    changed_us: float
    ratios: tuple[float, ...]

    @property
    def overhead(self) -> float:
        """Median over rounds of the share that is added."""
        return statistics.median(self.ratios) - 1.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of that median, from order statistics."""
        n = len(self.ratios)
        reach = math.ceil(_HALF_WIDTH * math.sqrt(n))
        low, high = max(0, n // 2 - reach), min(n - 1, (n - 1) // 2 + reach)
        return self.ratios[low] - 1.0, self.ratios[high] - 1.0


def interleave(
    base: Callable[[], object], changed: Callable[[], object], *, steps: int, rounds: int
) -> Comparison:
    """Run blocks of ``steps`` steps of both, in alternating order, for so many rounds.

    The first round warms up and is not counted.
    """
    works = (base, changed)
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for which in (0, 1) if number % 2 else (1, 0):
            step = works[which]
            started = time.process_time_ns()
            for _ in range(steps):
                step()
            elapsed = time.process_time_ns() - started
            if number:
                taken[which].append(elapsed / steps / 1000)
    ratios = sorted(b / a for a, b in zip(*taken, strict=True))
    return Comparison(statistics.median(taken[0]), statistics.median(taken[1]), tuple(ratios))
