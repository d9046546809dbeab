from __future__ import annotations

import copy
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esper.contracts.errors import ConfigError
from esper.execution.circuit_breaker import (
    TRANSITIONS,
    BreakerConfig,
    CircuitBreaker,
    CircuitEvent,
    CircuitState,
    advance,
)
from support.clocks import StillClock

CONFIG = BreakerConfig(failures=3, window_seconds=60, cooldown_seconds=30)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def circuit(clock: StillClock) -> CircuitBreaker:
    return CircuitBreaker(CONFIG, clock.monotonic)


def test_what_the_table_does_not_have_changes_nothing() -> None:
    for state in CircuitState:
        for event in CircuitEvent:
            assert advance(state, event) is TRANSITIONS.get((state, event), state)


def test_a_circuit_opens_once_cools_down_and_closes(
    circuit: CircuitBreaker, clock: StillClock
) -> None:
    assert [circuit.fail() for _ in range(4)] == [False, False, True, False]
    assert not circuit.allows()
    clock.advance(30)
    assert circuit.state is CircuitState.HALF_OPEN
    circuit.succeed()
    assert circuit.state is CircuitState.CLOSED
    assert circuit.recent == 0


def test_a_trial_that_fails_opens_it_for_as_long_again(
    circuit: CircuitBreaker, clock: StillClock
) -> None:
    circuit.fail(3)
    clock.advance(30)
    assert circuit.allows()
    assert circuit.fail()
    clock.advance(29)
    assert not circuit.allows()
    clock.advance(1)
    assert circuit.allows()


def test_successes_forgive_nothing_and_time_does(
    circuit: CircuitBreaker, clock: StillClock
) -> None:
    circuit.fail(2)
    circuit.succeed()
    assert circuit.recent == 2
    clock.advance(60)
    assert circuit.recent == 0
    assert not circuit.fail()


def test_without_a_cool_down_only_a_reset_closes_it(clock: StillClock) -> None:
    config = BreakerConfig(failures=1, window_seconds=1, cooldown_seconds=math.inf)
    circuit = CircuitBreaker(config, clock.monotonic)
    assert circuit.fail()
    clock.advance(1e9)
    assert not circuit.allows()
    circuit.reset()
    assert circuit.allows()
    assert circuit.recent == 0


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 5)), max_size=20))
def test_what_is_remembered_is_bounded_and_opens_exactly_at_its_number(
    failures: list[tuple[float, int]],
) -> None:
    clock = StillClock()
    circuit = CircuitBreaker(
        BreakerConfig(failures=3, window_seconds=60, cooldown_seconds=math.inf), clock.monotonic
    )
    moments: list[float] = []
    for pause, times in failures:
        clock.advance(pause)
        was_open = not circuit.allows()
        moments += [clock.monotonic()] * times
        within = sum(moment > clock.monotonic() - 60 for moment in moments)
        assert circuit.fail(times) == (not was_open and within >= 3)
        assert circuit.recent == min(within, 3)


def test_copies_go_on_by_themselves(circuit: CircuitBreaker) -> None:
    circuit.fail(2)
    for twin in (copy.deepcopy(circuit), pickle.loads(pickle.dumps(circuit))):
        assert twin.fail()
    assert circuit.allows()


@pytest.mark.parametrize("bad", [{"failures": 0}, {"window_seconds": 0}, {"cooldown_seconds": -1}])
def test_config_out_of_range_names_the_field(bad: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        BreakerConfig(**bad)
