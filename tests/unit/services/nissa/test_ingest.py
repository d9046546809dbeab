from __future__ import annotations

import pytest

from esper.services.nissa.ingest import is_void


@pytest.mark.parametrize(
    ("attempt", "position", "void"),
    [(0, 99, False), (0, 100, True), (1, 100, False), (1, 149, False), (1, 150, True)],
)
def test_a_line_is_void_where_a_later_attempt_began_at_or_before_it(
    attempt: int, position: int, void: bool
) -> None:
    assert is_void(attempt, position, {0: 0, 1: 100, 2: 150}) is void


def test_without_a_later_attempt_no_line_is_void() -> None:
    assert not is_void(3, 0, {0: 0, 1: 0, 2: 0, 3: 0})
