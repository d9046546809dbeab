from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from esper.contracts.errors import (
    ArtifactError,
    ConfigError,
    KernelMismatchError,
    KernelNotFoundError,
    LibraryUnavailableError,
)
from esper.execution import kernel_cache  # noqa: F401 - registers torch's errors
from esper.execution.circuit_breaker import BreakerConfig
from esper.execution.error_recovery import (
    KINDS,
    RECOVERY,
    ErrorRecoveryManager,
    RecoveryStrategy,
    RetryConfig,
)
from esper.execution.error_tracker import ErrorKind, ErrorTracker
from support.clocks import StillClock


class World(StillClock):
    """A clock that sleeping moves on, and remembers the pauses."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


@pytest.fixture
def world() -> World:
    return World()


def managing(
    world: World, *, retry: RetryConfig | None = None, draw: float = 1.0
) -> ErrorRecoveryManager:
    return ErrorRecoveryManager(
        clock=world,
        retry=retry or RetryConfig(base_seconds=0.1),
        breaker=BreakerConfig(failures=3, window_seconds=60, cooldown_seconds=30),
        sleep=world.sleep,
        asleep=world.asleep,
        draw=lambda: draw,
    )


@pytest.fixture
def manager(world: World) -> ErrorRecoveryManager:
    return managing(world)


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


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionResetError(), ErrorKind.UNREACHABLE),
        (TimeoutError(), ErrorKind.UNREACHABLE),
        (LibraryUnavailableError(), ErrorKind.UNREACHABLE),
        (KernelNotFoundError(), ErrorKind.ABSENT),
        (ArtifactError(), ErrorKind.CORRUPT),
        (KernelMismatchError(), ErrorKind.MISFIT),
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


def test_pause_has_an_upper_bound(world: World) -> None:
    manager = managing(world, retry=RetryConfig(attempts=4, base_seconds=0.1, longest_seconds=0.3))
    manager.run("store", failing(TimeoutError(), 4))
    assert world.pauses == [0.1, 0.2, 0.3, 0.3]


@given(draw=st.floats(0, 1, exclude_max=True), attempt=st.integers(0, 10_000))
def test_pauses_stay_within_their_bounds(draw: float, attempt: int) -> None:
    config = RetryConfig(attempts=10_001)
    pause = config.pause(attempt, 0.0, draw)
    assert pause is not None
    assert 0 <= pause <= config.longest_seconds
    assert config.pause(attempt, 2.0, 0.0) == 2.0


def test_whoever_asks_for_a_pause_gets_it_unless_it_is_too_long(world: World) -> None:
    class BusyError(TimeoutError):
        retry_after = 2.0

    manager = managing(world, draw=0.0)
    assert manager.run("library", failing(BusyError(), 2)) == "done"
    assert world.pauses == [2.0, 2.0]
    BusyError.retry_after = 3600.0
    with pytest.raises(BusyError):
        manager.run("library", failing(BusyError(), 1))
    assert world.pauses == [2.0, 2.0]


def test_what_would_happen_twice_is_tried_once(manager: ErrorRecoveryManager, world: World) -> None:
    with pytest.raises(TimeoutError):
        manager.run("store", failing(TimeoutError(), 1), again=False)
    assert world.pauses == []


def test_exhausted_retries_fall_back_or_escalate_with_what_the_window_shows(
    manager: ErrorRecoveryManager, caplog: pytest.LogCaptureFixture
) -> None:
    assert manager.run("a", failing(TimeoutError()), fallback=lambda: "local") == "local"
    assert "going on without it" in caplog.text
    for _ in range(4):  # the circuit opens with the third
        with pytest.raises((TimeoutError, LibraryUnavailableError), match="slow"):
            manager.run("b", failing(TimeoutError("slow")))
    assert manager.tracker.total("b") == 3  # failures, not tries
    assert caplog.text.count("b failed; lately there are recurring errors: b") == 1


@pytest.mark.parametrize("error", [ArtifactError("bad"), KernelMismatchError("bad")])
def test_failed_check_is_final_even_with_a_fallback(
    manager: ErrorRecoveryManager, world: World, error: Exception
) -> None:
    with pytest.raises(type(error), match="bad"):
        manager.run("loader", failing(error, 1), fallback=lambda: "x", degraded=lambda: "y")
    assert world.pauses == []


def test_what_is_not_there_is_an_answer_and_no_trouble(manager: ErrorRecoveryManager) -> None:
    with pytest.raises(KernelNotFoundError):
        manager.run("source", failing(KernelNotFoundError("none"), 1), fallback=lambda: "x")
    assert manager.tracker.recent() == []


def test_a_component_that_keeps_failing_is_left_alone_and_tried_again_later(world: World) -> None:
    manager = managing(world, retry=RetryConfig(attempts=0))
    calls = 0

    def operation() -> str:
        nonlocal calls
        calls += 1
        if calls <= 4:
            raise TimeoutError("silence")
        return "done"

    for _ in range(5):
        assert manager.run("store", operation, fallback=lambda: "host") == "host"
    assert calls == 3
    with pytest.raises(LibraryUnavailableError, match=r"left alone.*silence"):
        manager.run("store", operation)
    assert manager.run("another", lambda: "done") == "done"
    world.advance(30)
    assert manager.run("store", operation, fallback=lambda: "host") == "host"
    assert manager.run("store", operation, fallback=lambda: "host") == "host"
    assert calls == 4
    world.advance(30)
    assert manager.run("store", operation) == "done"


def test_short_memory_degrades_where_the_caller_says_how(manager: ErrorRecoveryManager) -> None:
    assert manager.run("cache", failing(MemoryError()), degraded=lambda: "smaller") == "smaller"
    with pytest.raises(MemoryError):
        manager.run("cache", failing(MemoryError()))


def test_unknown_error_is_escalated_unchanged(manager: ErrorRecoveryManager) -> None:
    error = ZeroDivisionError("x")
    with pytest.raises(ZeroDivisionError) as caught:
        manager.run("a", failing(error), fallback=lambda: "")
    assert caught.value is error


def test_interrupt_is_no_error_to_recover_from(manager: ErrorRecoveryManager) -> None:
    def operation() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.run("a", operation, fallback=lambda: "")
    assert manager.tracker.recent() == []


def test_managers_that_share_a_window_see_trouble_spread(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = ErrorTracker(world)
    for name in ("redis", "library", "disk"):
        manager = ErrorRecoveryManager(clock=world, tracker=tracker)
        with caplog.at_level(logging.ERROR), pytest.raises(TimeoutError):
            manager.run(name, failing(TimeoutError()))
    assert "disk failed; lately there are spreading errors: unreachable" in caplog.text


def test_awaited_operations_are_met_the_same(manager: ErrorRecoveryManager, world: World) -> None:
    flaky = failing(TimeoutError(), 2)

    async def operation() -> str:
        return flaky()

    assert asyncio.run(manager.arun("store", operation)) == "done"
    assert world.pauses == [0.1, 0.2]


def test_negative_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected a finite number, 0 or more"):
        RetryConfig(attempts=-1)
