from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import torch
from pydantic import BaseModel

from esper.contracts.errors import (
    ArtifactError,
    ConfigError,
    KernelExecutionError,
    KernelMismatchError,
    KernelNotFoundError,
)
from esper.execution.circuit_breaker import BreakerConfig, CircuitState
from esper.execution.error_recovery import (
    KINDS,
    RECOVERY,
    STRATEGIES,
    ErrorEscalated,
    ErrorRecoveryManager,
    RecoveryStrategy,
    RetryConfig,
)
from esper.execution.error_tracker import ErrorKind


class World:
    """Clock, sleep and sink that a test holds in its hand."""

    def __init__(self) -> None:
        self.time = 0.0
        self.pauses: list[float] = []
        self.events: list[BaseModel] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)

    def emit(self, event: BaseModel) -> None:
        self.events.append(event)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def manager(world: World) -> ErrorRecoveryManager:
    return ErrorRecoveryManager(clock=world, sleep=world.sleep, asleep=world.asleep, sink=world)


def failing(error: Exception, times: int = 10**6) -> Callable[[], str]:
    left = [times]

    def operation() -> str:
        if left[0] == 0:
            return "done"
        left[0] -= 1
        raise error

    return operation


def test_every_kind_has_strategies_that_end_in_escalation() -> None:
    assert set(RECOVERY) == set(ErrorKind)
    assert all(chain[-1] is RecoveryStrategy.ESCALATION for chain in RECOVERY.values())
    assert {strategy for chain in RECOVERY.values() for strategy in chain} == set(RecoveryStrategy)
    assert set(STRATEGIES) == set(RecoveryStrategy)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionResetError(), ErrorKind.UNREACHABLE),
        (TimeoutError(), ErrorKind.UNREACHABLE),
        (KernelNotFoundError(), ErrorKind.ABSENT),
        (ArtifactError(), ErrorKind.CORRUPT),
        (KernelMismatchError(), ErrorKind.MISFIT),
        (KernelExecutionError(), ErrorKind.EXECUTION),
        (torch.OutOfMemoryError(), ErrorKind.MEMORY),
        (MemoryError(), ErrorKind.MEMORY),
        (ZeroDivisionError(), ErrorKind.UNKNOWN),
    ],
)
def test_errors_are_of_the_kind_that_their_type_says(error: Exception, kind: ErrorKind) -> None:
    assert KINDS.lookup_type(type(error)) is kind


def test_retry_doubles_its_pause_and_succeeds(manager: ErrorRecoveryManager, world: World) -> None:
    assert manager.run("store", failing(TimeoutError("slow"), 3)) == "done"
    assert world.pauses == [0.1, 0.2, 0.4]
    assert manager.settled[RecoveryStrategy.RETRY] == 3
    assert world.events == []


def test_pause_has_an_upper_bound(world: World) -> None:
    manager = ErrorRecoveryManager(
        clock=world, sleep=world.sleep, retry=RetryConfig(attempts=4, longest_seconds=0.3)
    )
    manager.run("store", failing(TimeoutError(), 4))
    assert world.pauses == [0.1, 0.2, 0.3, 0.3]


def test_exhausted_retries_fall_back_or_escalate(
    manager: ErrorRecoveryManager, world: World
) -> None:
    assert manager.run("a", failing(TimeoutError()), fallback=lambda: "local") == "local"
    with pytest.raises(TimeoutError, match="slow"):
        manager.run("b", failing(TimeoutError("slow")))
    (event,) = world.events
    assert isinstance(event, ErrorEscalated)
    assert (event.component, event.error_kind, event.recent) == ("b", ErrorKind.UNREACHABLE, 4)
    assert "recurring: b (4)" in event.patterns


@pytest.mark.parametrize("error", [ArtifactError("bad"), KernelMismatchError("bad")])
def test_failed_check_is_final_even_with_a_fallback(
    manager: ErrorRecoveryManager, world: World, error: Exception
) -> None:
    with pytest.raises(type(error), match="bad"):
        manager.run("loader", failing(error, 1), fallback=lambda: "x", degraded=lambda: "y")
    assert world.pauses == []
    assert len(world.events) == 1


def test_circuit_opens_cools_down_and_closes(world: World) -> None:
    manager = ErrorRecoveryManager(
        clock=world, sleep=world.sleep, breaker=BreakerConfig(failures=3, cooldown_seconds=30)
    )
    calls = 0

    def operation() -> str:
        nonlocal calls
        calls += 1
        if calls <= 4:
            raise KernelExecutionError("nan")
        return "done"

    for _ in range(5):
        assert manager.run("kernel", operation, fallback=lambda: "host") == "host"
    assert calls == 3
    with pytest.raises(KernelExecutionError, match=r"'kernel'.*30 s"):
        manager.run("kernel", operation)
    world.time += 30
    assert manager.circuit("kernel").state is CircuitState.HALF_OPEN
    assert manager.run("kernel", operation, fallback=lambda: "host") == "host"
    assert manager.circuit("kernel").state is CircuitState.OPEN
    world.time += 30
    assert manager.run("kernel", operation) == "done"
    assert manager.circuit("kernel").state is CircuitState.CLOSED


def test_one_components_circuit_leaves_others_alone(manager: ErrorRecoveryManager) -> None:
    for _ in range(3):
        manager.run("a", failing(KernelExecutionError()), fallback=lambda: "")
    assert not manager.circuit("a").allows()
    assert manager.run("b", lambda: "done") == "done"


def test_short_memory_degrades_until_a_full_success(manager: ErrorRecoveryManager) -> None:
    assert manager.run("cache", failing(MemoryError()), degraded=lambda: "smaller") == "smaller"
    assert manager.degraded == {"cache"}
    manager.run("cache", lambda: "full")
    assert manager.degraded == set()
    with pytest.raises(MemoryError):
        manager.run("cache", failing(MemoryError()))


def test_unknown_error_is_escalated_unchanged(manager: ErrorRecoveryManager) -> None:
    error = ZeroDivisionError("x")
    with pytest.raises(ZeroDivisionError) as caught:
        manager.run("a", failing(error), fallback=lambda: "")
    assert caught.value is error
    assert manager.settled[RecoveryStrategy.ESCALATION] == 1


def test_interrupt_is_no_error_to_recover_from(manager: ErrorRecoveryManager) -> None:
    def operation() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.run("a", operation, fallback=lambda: "")
    assert manager.tracker.count() == 0


def test_asynchronous_run_does_the_same(manager: ErrorRecoveryManager, world: World) -> None:
    flaky = failing(TimeoutError(), 2)

    async def operation() -> str:
        return flaky()

    assert asyncio.run(manager.arun("store", operation)) == "done"
    assert world.pauses == [0.1, 0.2]


def test_asynchronous_run_without_a_sleep_says_what_is_missing(world: World) -> None:
    manager = ErrorRecoveryManager(clock=world, sleep=world.sleep)

    async def operation() -> str:
        return ""

    with pytest.raises(ConfigError, match="asleep"):
        asyncio.run(manager.arun("a", operation))
