"""Cursors come back as they went out, and anything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esper.contracts.errors import SubmissionError
from esper.services.urza.rows import decode, encode


@given(st.floats(allow_nan=False, allow_infinity=False), st.text())
def test_a_cursor_comes_back_as_it_went_out(number: float, text: str) -> None:
    assert decode(encode([number, text]), float, str) == [number, text]


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(SubmissionError, match="cursor"):
        decode(text, int, int, int)


@pytest.mark.parametrize("key", [["1"], [1.0], [True], [None], [1, 2], [], [2**63]])
def test_a_cursor_of_another_list_is_refused(key: list[object]) -> None:
    with pytest.raises(SubmissionError, match="cursor"):
        decode(encode(key), int)
