from __future__ import annotations

from itertools import count

from esper.contracts.library import Target
from esper.services.tezzeret.checks.subject import Subject
from esper.services.tezzeret.latency import CALLS, available, latency
from support.forge import blueprint_of, perceptron


def subject() -> Subject:
    return Subject.of(blueprint_of(perceptron()), seed=0)


def test_median_and_worst_come_from_the_clock() -> None:
    ticks = (n * n * 1000 for n in count())
    found = latency(subject(), Target(batch_size=2), clock=lambda: next(ticks))
    # Calls take the differences of neighbouring squares: 1, 5, 9, ... microseconds.
    assert found.calls == CALLS
    assert found.worst_us == 4 * (CALLS - 1) + 1
    assert found.median_us == 2 * (CALLS - 1) + 1


def test_slow_kernels_are_timed_a_few_times_only() -> None:
    second = count(step=10**9)
    assert latency(subject(), Target(batch_size=2), clock=lambda: next(second)).calls == 5


def test_the_processor_is_always_there() -> None:
    assert available(Target(batch_size=1))
    assert not available(Target(device="meta", batch_size=1))
