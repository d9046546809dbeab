"""The Range header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from esper.services.urza.routes.blob_routes import wanted_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-9", (0, 10)),
        ("bytes=90-", (90, 100)),
        ("bytes=-5", (95, 100)),
        ("bytes=-500", (0, 100)),
        ("bytes=99-10000", (99, 100)),
        ("Bytes = 0 - 0", (0, 1)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("nonsense", None),
    ],
)
def test_the_wanted_bytes_are_found(header: str | None, expected: tuple[int, int] | None) -> None:
    assert wanted_range(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_outside_is_refused_with_the_size(header: str) -> None:
    with pytest.raises(HTTPException) as refused:
        wanted_range(header, 100)
    assert refused.value.status_code == 416
    assert refused.value.headers == {"Content-Range": "bytes */100"}


@given(st.text("bytes=0123456789-, ", max_size=30), st.integers(0, 10_000))
def test_a_range_lies_inside_whatever_is_asked(header: str, size: int) -> None:
    try:
        part = wanted_range(header, size)
    except HTTPException:
        return
    if part is not None:
        assert 0 <= part[0] < part[1] <= size
