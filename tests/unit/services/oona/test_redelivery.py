from __future__ import annotations

import pytest

from esper.services.oona.redelivery import together


@pytest.mark.parametrize(
    ("tries", "number"),
    [
        ([], 0),
        ([1], 1),
        ([1, 2, 1], 3),
        ([3], 1),
        ([3, 1, 1], 1),
        ([1, 2, 3, 1], 2),
        ([5, 5], 1),
    ],
)
def test_what_came_too_often_comes_by_itself(tries: list[int], number: int) -> None:
    assert together(tries, max_tries=5) == number


def test_with_a_single_try_all_come_together() -> None:
    assert together([0, 0], max_tries=1) == 2
