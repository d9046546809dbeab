from __future__ import annotations

import pytest

from esper.services.oona.redelivery import together


@pytest.mark.parametrize(
    ("tries", "number"),
    [
        ([], 0),
        ([1], 1),
        ([1, 1, 1], 3),
        ([2], 1),
        ([2, 1, 1], 1),
        ([1, 1, 2, 1], 2),
        ([5, 5], 1),
    ],
)
def test_what_came_too_often_comes_by_itself(tries: list[int], number: int) -> None:
    assert together(tries) == number
