"""Entity tags of revisions, and preconditions."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from esper.contracts.errors import RevisionConflictError
from esper.services.urza.exchange import etag, expected_revision, required_revision, unchanged


@pytest.mark.asyncio
@given(st.integers(min_value=1, max_value=10**18 - 1))
async def test_a_revision_survives_its_entity_tag(revision: int) -> None:
    assert await required_revision(etag(revision)) == revision


@pytest.mark.asyncio
async def test_a_change_without_a_precondition_is_refused() -> None:
    with pytest.raises(HTTPException) as refused:
        await required_revision(None)
    assert refused.value.status_code == 428
    with pytest.raises(HTTPException) as refused:
        await expected_revision(None, None)
    assert refused.value.status_code == 428


@pytest.mark.asyncio
@pytest.mark.parametrize("header", ["3", 'W/"3"', '"0"', '"-1"', '"1", "2"', "*", '"x"', ""])
async def test_what_is_no_revision_of_ours_matches_nothing(header: str) -> None:
    with pytest.raises(RevisionConflictError, match="is not the ETag"):
        await required_revision(header)


@pytest.mark.asyncio
async def test_a_put_says_whether_it_creates_or_replaces() -> None:
    assert await expected_revision(None, "*") is None
    assert await expected_revision('"4"', None) == 4
    with pytest.raises(RevisionConflictError, match="only \\* has a meaning"):
        await expected_revision(None, '"4"')


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        ("*", True),
        ('"3"', True),
        ('W/"3"', True),
        ('"1", "3"', True),
        ('"1", "2"', False),
        ("3", False),
        ('"33"', False),
    ],
)
def test_a_reader_who_has_the_revision_is_known(header: str | None, expected: bool) -> None:
    assert unchanged(header, etag(3)) is expected


@pytest.mark.asyncio
@given(st.text(max_size=40))
async def test_no_header_breaks_the_reading_of_it(header: str) -> None:
    unchanged(header, etag(3))
    with contextlib.suppress(RevisionConflictError):
        assert await required_revision(header) >= 1
