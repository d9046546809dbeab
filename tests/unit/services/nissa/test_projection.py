from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esper.contracts.enums import RunState
from esper.services.nissa import projection
from support import logged_runs

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["type", "kind", "step", "signals", "result", "name", "lr", "growth_loss"])
WORDS = st.sampled_from(["step", "eval", "end", "start", "event", "HealthMeasured", "library"])


@given(body=st.dictionaries(NAMES, WORDS | JSON))
def test_no_line_is_refused_however_strange(body: dict[str, Any]) -> None:
    assert projection.step_of(body) >= 0
    projection.state_of(body)
    projection.name_of(body)
    projection.kernels_of(body, str(body))
    for name, value in projection.figures_of(body):
        assert name
        assert value is None or value == value  # noqa: PLR0124 NaN is not equal to itself


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"type": "start"}, RunState.RUNNING),
        ({"type": "resume"}, RunState.RUNNING),
        ({"type": "interrupted"}, RunState.INTERRUPTED),
        ({"type": "failed"}, RunState.FAILED),
        ({"type": "end", "result": {"status": "finished"}}, RunState.FINISHED),
        ({"type": "end", "result": {"status": "stopped early"}}, RunState.STOPPED_EARLY),
        ({"type": "step"}, None),
        ({"type": "growth"}, None),
    ],
)
def test_lines_that_tell_of_a_state_tell_this_one(
    body: dict[str, Any], state: RunState | None
) -> None:
    assert projection.state_of(body) is state


def test_a_loss_that_was_not_finite_is_a_point_without_a_value() -> None:
    assert dict(projection.figures_of(logged_runs.step(5, None))) == {
        "train_loss": None,
        "lr": 0.01,
    }


def test_a_measurement_that_was_not_taken_is_no_point() -> None:
    assert dict(projection.figures_of(logged_runs.health())) == {
        "health/net.0/dead_neuron_ratio": 0.25
    }


def test_of_several_signals_about_a_layer_the_first_counts() -> None:
    signals = [{"layer_name": "a", "gradient_norm": 1.0}, {"layer_name": "a", "gradient_norm": 2.0}]
    body = {"type": "event", "kind": "HealthMeasured", "signals": signals}
    assert dict(projection.figures_of(body)) == {"health/a/gradient_norm": 1.0}


def test_kernels_are_found_in_events_and_not_in_measurements() -> None:
    kernel = "0f" * 32
    text = f'{{"kernel_id":"{kernel}"}}'
    assert projection.kernels_of({"type": "event", "kind": "RaceStarted"}, text) == {kernel}
    assert projection.kernels_of({"type": "library"}, f'["{kernel}"]') == {kernel}
    assert not projection.kernels_of({"type": "event", "kind": "HealthMeasured"}, text)
    assert projection.kernels_of({"type": "growth"}, text) == {kernel}
    assert not projection.kernels_of({"type": "start"}, text)
    assert not projection.kernels_of({"type": "event"}, '"0f0f"')
