"""Revisions as entity tags, and the preconditions that requests put on them (RFC 9110, 13.1)."""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException

from esper.contracts.errors import RevisionConflictError

_TAG = re.compile(r'(?:W/)?"[^"]*"')
_REVISION = re.compile(r'"([1-9][0-9]{0,17})"')


def etag(revision: int | str) -> str:
    """Return the entity tag of a revision, or of a digest."""
    return f'"{revision}"'


def required_revision(if_match: str | None) -> int:
    """Return the revision that `If-Match` names.

    Raises:
        HTTPException: 428, there is no such header.
        RevisionConflictError: It names nothing that could be one revision of ours.
    """
    if if_match is None:
        raise HTTPException(
            428,
            "this changes a record: send If-Match with the ETag that the record was read with",
        )
    found = _REVISION.fullmatch(if_match.strip())
    if found is None:
        raise RevisionConflictError(
            f"If-Match {if_match!r} is not the ETag of a revision; read the record, and send "
            'its ETag, for example If-Match: "3"'
        )
    return int(found[1])


def expected_revision(if_match: str | None, if_none_match: str | None) -> int | None:
    """Return the revision that a PUT replaces, or None if it must create.

    Raises:
        HTTPException: 428, neither header says what is expected.
        RevisionConflictError: The header cannot hold for a record of ours.
    """
    if if_match is not None:
        return required_revision(if_match)
    if if_none_match is None:
        raise HTTPException(
            428,
            "say what is expected: If-None-Match: * to create, If-Match with the ETag to replace",
        )
    if if_none_match.strip() != "*":
        raise RevisionConflictError(
            f"If-None-Match {if_none_match!r}: only * has a meaning here, for what does not exist"
        )
    return None


def unchanged(if_none_match: str | None, current: str) -> bool:
    """Return whether a reader who sent `If-None-Match` has the record as it is now.

    Args:
        if_none_match: The header; None if there was none.
        current: The record's entity tag.
    """
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    # Weak comparison: a proxy may have weakened the tag that it was given.
    return current in {tag.removeprefix("W/") for tag in _TAG.findall(if_none_match)}
