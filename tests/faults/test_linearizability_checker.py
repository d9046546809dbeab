"""The checker tells what is linearizable from what is not."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.linearizability import UNKNOWN, Operation, alias_step, is_linearizable

Line = tuple[str, tuple[Any, ...], Any, float, float]

LINEARIZABLE: dict[str, list[Line]] = {
    "one after the other": [
        ("put", ("a", None), 1, 0, 1),
        ("get", (), ("a", 1), 2, 3),
        ("put", ("b", 1), 2, 4, 5),
        ("delete", (2,), 3, 6, 7),
        ("get", (), None, 8, 9),
    ],
    "a read beside a write may see either": [
        ("put", ("a", None), 1, 0, 10),
        ("get", (), None, 1, 9),
        ("get", (), ("a", 1), 2, 8),
    ],
    "of two swaps one wins": [
        ("put", ("a", None), 1, 0, 10),
        ("put", ("b", None), "conflict", 0, 10),
        ("get", (), ("a", 1), 11, 12),
    ],
    "what nothing was heard of may have happened": [
        ("put", ("a", None), UNKNOWN, 0, inf),
        ("get", (), None, 1, 2),
        ("get", (), ("a", 1), 3, 4),
    ],
    "what nothing was heard of may not have happened": [
        ("put", ("a", None), UNKNOWN, 0, inf),
        ("get", (), None, 1, 2),
        ("put", ("b", None), 1, 3, 4),
        ("get", (), ("b", 1), 5, 6),
    ],
}

NOT_LINEARIZABLE: dict[str, list[Line]] = {
    "a stale read": [
        ("put", ("a", None), 1, 0, 1),
        ("put", ("b", 1), 2, 2, 3),
        ("get", (), ("a", 1), 4, 5),
    ],
    "a lost update: two swaps from one revision": [
        ("put", ("a", None), 1, 0, 1),
        ("put", ("b", 1), 2, 2, 5),
        ("put", ("c", 1), 2, 3, 6),
    ],
    "reads that go back in time": [
        ("put", ("a", None), 1, 0, 10),
        ("get", (), ("a", 1), 1, 2),
        ("get", (), None, 3, 4),
    ],
    "a conflict without a rival": [
        ("put", ("a", None), "conflict", 0, 1),
    ],
    "an acknowledged write that is gone": [
        ("put", ("a", None), 1, 0, 1),
        ("get", (), None, 2, 3),
    ],
    "what happened cannot be undone": [
        ("put", ("a", None), UNKNOWN, 0, inf),
        ("get", (), ("a", 1), 1, 2),
        ("get", (), None, 3, 4),
    ],
}


def _check(lines: list[Line]) -> bool:
    return is_linearizable([Operation(*line) for line in lines], (None, 0), alias_step)


@pytest.mark.parametrize("lines", LINEARIZABLE.values(), ids=LINEARIZABLE)
def test_a_linearizable_history_is_accepted(lines: list[Line]) -> None:
    assert _check(lines)


@pytest.mark.parametrize("lines", NOT_LINEARIZABLE.values(), ids=NOT_LINEARIZABLE)
def test_any_other_history_is_refused(lines: list[Line]) -> None:
    assert not _check(lines)


@given(st.lists(st.tuples(st.sampled_from("gpd"), st.floats(0, 5), st.floats(0, 5)), max_size=30))
def test_a_history_made_by_one_object_is_accepted(
    moves: list[tuple[str, float, float]],
) -> None:
    state: tuple[str | None, int] = (None, 0)
    history = []
    for moment, (kind, before, after) in enumerate(moves):
        kernel, revision = state
        arguments: tuple[Any, ...] = ()
        result: Any = state if kernel is not None else None
        if kind == "p":
            arguments = (f"k{moment}", None if kernel is None else revision)
            state = (arguments[0], revision + 1)
            result = state[1]
        elif kind == "d":
            arguments = (revision,)
            result = "missing" if kernel is None else revision + 1
            state = state if kernel is None else (None, revision + 1)
        name = {"g": "get", "p": "put", "d": "delete"}[kind]
        history.append(Operation(name, arguments, result, moment - before, moment + after))
    assert is_linearizable(history, (None, 0), alias_step)
