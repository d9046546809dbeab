"""The `Range` header: which bytes of a blob are wanted (RFC 9110, 14.2; one range, of bytes)."""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException

_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})")


def wanted_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return start (inclusive) and end (exclusive) of the wanted bytes; None for all of them.

    A header that is malformed, or asks for several ranges, is ignored, as the RFC allows.

    Args:
        header: The `Range` header; None if there was none.
        size: Bytes that there are.

    Raises:
        HTTPException: 416, the range begins behind the end.
    """
    found = _RANGE.fullmatch(header.replace(" ", "").lower()) if header else None
    if found is None or not (found["first"] or found["last"]):
        return None
    if found["first"]:
        start = int(found["first"])
        end = min(int(found["last"]) + 1, size) if found["last"] else size
        if found["last"] and int(found["last"]) < start:
            return None
    else:
        start, end = max(size - int(found["last"]), 0), size
    if start >= end:
        raise HTTPException(
            416,
            f"the range {header} lies outside the blob's {size} bytes",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, end
