from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest

from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState
from esper.contracts.errors import AccessDeniedError, LibraryUnavailableError, SubmissionError
from esper.execution.artifact import unpack
from esper.services.tezzeret.build_job import Abandoned, Broken, Outcome
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tezzeret.prove import prove
from esper.services.tezzeret.worker import Worker
from support.clocks import StillClock
from support.forge import MemoryQueue, blueprint_of, perceptron

CONFIG = TezzeretConfig(
    targets=(), poll_seconds=0.01, backoff_seconds=0.01, backoff_most_seconds=0.02
)
AWAY = LibraryUnavailableError("away")


def here(blueprint: Blueprint, unwanted: Callable[[], bool]) -> Outcome:
    return prove(blueprint, ())


def broken(*, final: bool) -> Callable[[Blueprint, Callable[[], bool]], Outcome]:
    return lambda blueprint, unwanted: Broken(reason="it burst", final=final)


def worker(queue: MemoryQueue, build: object = here, clock: StillClock | None = None) -> Worker:
    return Worker(queue, CONFIG, build=build, clock=clock)  # type: ignore[arg-type]  # builders of several tests


@pytest.fixture
def queue() -> MemoryQueue:
    return MemoryQueue()


@pytest.fixture
def waiting(queue: MemoryQueue) -> str:
    return queue.submit(blueprint_of(perceptron(), host="linear"))


def test_without_work_there_is_nothing_to_do(queue: MemoryQueue) -> None:
    assert not worker(queue).step()


def test_a_proven_kernel_and_its_report_reach_the_library(queue: MemoryQueue, waiting: str) -> None:
    assert worker(queue).step()
    entry = queue.entry(waiting)
    assert entry.state is BlueprintState.VALIDATED
    assert entry.report is not None
    assert entry.report.passed
    assert unpack(queue.fetch(entry.kernels[0])).metadata.blueprint == "planted/one"


def test_a_failed_check_makes_the_blueprint_invalid_at_once(queue: MemoryQueue) -> None:
    wrong = blueprint_of(perceptron()).model_copy(update={"parameters": 1})
    worker(queue).step()
    identity = queue.submit(wrong)
    worker(queue).step()
    entry = queue.entry(identity)
    assert entry.state is BlueprintState.INVALID
    assert entry.reason.startswith("claims: ")
    assert entry.report is not None
    assert not entry.kernels


def test_an_exceeded_limit_is_final(queue: MemoryQueue, waiting: str) -> None:
    worker(queue, broken(final=True)).step()
    assert queue.entry(waiting).state is BlueprintState.INVALID
    assert queue.entry(waiting).attempts == 1


def test_a_blueprint_that_crashes_its_builder_is_set_aside_after_three_tries(
    queue: MemoryQueue, waiting: str
) -> None:
    crashing = worker(queue, broken(final=False))
    states = []
    while crashing.step():
        states.append(queue.entry(waiting).state)
    assert states == [
        BlueprintState.UNVALIDATED,
        BlueprintState.UNVALIDATED,
        BlueprintState.INVALID,
    ]
    assert queue.entry(waiting).reason == "set aside after 3 tries: it burst"


def test_an_abandoned_build_is_given_back(queue: MemoryQueue, waiting: str) -> None:
    worker(queue, lambda blueprint, unwanted: Abandoned()).step()
    assert queue.entry(waiting).state is BlueprintState.UNVALIDATED


def test_the_result_of_a_lost_lease_is_dropped(queue: MemoryQueue, waiting: str) -> None:
    clock = StillClock()
    slow_queue = MemoryQueue(clock)
    identity = slow_queue.submit(blueprint_of(perceptron()))

    def asleep(blueprint: Blueprint, unwanted: Callable[[], bool]) -> Outcome:
        clock.advance(CONFIG.lease_seconds + 1)
        assert slow_queue.lease("another", seconds=60.0) is not None
        return here(blueprint, unwanted)

    assert worker(slow_queue, asleep).step()
    assert slow_queue.entry(identity).state is BlueprintState.COMPILING
    assert not slow_queue.entry(identity).kernels


def test_a_finished_kernel_waits_for_a_library_that_is_away(
    queue: MemoryQueue, waiting: str
) -> None:
    queue.trouble("complete", [AWAY, AWAY, AWAY])
    worker(queue).step()
    assert queue.entry(waiting).state is BlueprintState.VALIDATED
    assert queue.calls.count("complete") == 4


def test_after_the_lease_has_ended_a_kernel_is_not_offered_again(
    queue: MemoryQueue, waiting: str
) -> None:
    clock = StillClock(now=4e9)  # far behind every lease of the real time
    queue.trouble("complete", [AWAY])
    with pytest.raises(LibraryUnavailableError):
        worker(queue, clock=clock).step()
    assert not queue.entry(waiting).kernels


def test_a_kernel_that_the_library_refuses_makes_its_blueprint_invalid(
    queue: MemoryQueue, waiting: str
) -> None:
    queue.trouble("complete", [SubmissionError("too large")])
    worker(queue).step()
    assert queue.entry(waiting).state is BlueprintState.INVALID
    assert "too large" in queue.entry(waiting).reason


def test_a_worker_goes_on_when_the_library_is_back_and_stops_when_told(
    queue: MemoryQueue, waiting: str
) -> None:
    stop = Event()
    queue.trouble("lease", [AWAY, AWAY])

    def build(blueprint: Blueprint, unwanted: Callable[[], bool]) -> Outcome:
        stop.set()
        return here(blueprint, unwanted)

    worker(queue, build).run(stop)
    assert queue.calls.count("lease") == 3
    assert queue.entry(waiting).state is BlueprintState.VALIDATED


def test_a_worker_that_is_not_let_in_says_so(queue: MemoryQueue) -> None:
    queue.trouble("lease", [AccessDeniedError("no token")])
    with pytest.raises(AccessDeniedError):
        worker(queue).run(Event())


def test_a_build_in_a_hurry_is_told_that_nobody_wants_it(queue: MemoryQueue, waiting: str) -> None:
    hurry = Event()
    hurry.set()

    def build(blueprint: Blueprint, unwanted: Callable[[], bool]) -> Outcome:
        assert unwanted()
        return Abandoned()

    Worker(queue, CONFIG, build=build, hurry=hurry).step()
    assert queue.entry(waiting).reason.startswith("given back")
