"""Blobs over HTTP: bytes under their SHA-256, put once, read whole or in parts, never changed."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from esper.contracts.errors import KernelNotFoundError
from esper.services.urza.exchange import NOT_MODIFIED, PREFIX, DigestPath, etag
from esper.services.urza.guarded_route import ActorDep, LibraryDep, router
from esper.services.urza.kernel_library import Library
from esper.web.problems import documented

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


BLOBS: Final[APIRouter] = router(f"{PREFIX}/blobs", "blobs")
OCTETS: Final = "application/octet-stream"
FOREVER: Final = "private, max-age=31536000, immutable"
"""`Cache-Control` of a blob: under one digest there is one content."""

_BYTES: Final[dict[str, Any]] = {
    "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}
}
_UPLOAD: Final[dict[str, Any]] = {"requestBody": {"required": True, **_BYTES}}

Range = Annotated[
    str | None,
    Header(description="`bytes=first-last`; one range, other headers are answered with it all."),
]


@BLOBS.put(
    "/{digest}",
    status_code=201,
    response_class=Response,
    responses={201: {"description": "Stored."}, 200: {"description": "It was there already."}},
    openapi_extra=_UPLOAD,
)
async def put_blob(
    request: Request, library: LibraryDep, actor: ActorDep, digest: DigestPath
) -> Response:
    """Store bytes under their digest. They are checked before anybody can see them."""
    announced = request.headers.get("content-length", "")
    length = int(announced) if announced.isdigit() else None
    new = await library.blobs.put(actor, digest, request.stream(), length)
    return Response(status_code=201 if new else 200, headers={"ETag": etag(digest)})


@BLOBS.head(
    "/{digest}",
    response_class=Response,
    responses={200: {"description": "It is stored."}, 304: NOT_MODIFIED},
)
async def head_blob(library: LibraryDep, digest: DigestPath) -> Response:
    """Say whether a blob is stored, and how large it is."""
    headers = _headers(digest) | {"Content-Length": str(await _size(library, digest))}
    return Response(headers=headers, media_type=OCTETS)


@BLOBS.get(
    "/{digest}",
    response_class=Response,
    responses=documented(416)
    | {
        200: {"description": "All of it.", **_BYTES},
        206: {"description": "The wanted part.", **_BYTES},
        304: NOT_MODIFIED,
    },
)
async def get_blob(
    request: Request,
    library: LibraryDep,
    digest: DigestPath,
    range: Range = None,  # noqa: A002 the header's name
) -> Response:
    """Return a blob, or a part of it."""
    size = await _size(library, digest)
    # A part of another content must not be joined to what the reader has.
    same = request.headers.get("if-range", etag(digest)) == etag(digest)
    part = wanted_range(range, size) if same else None
    start, end = part or (0, size)
    headers = _headers(digest) | {"Content-Length": str(end - start)}
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    body = library.blobs.read(digest, start, end)
    return StreamingResponse(body, 200 if part is None else 206, headers, OCTETS)


async def _size(library: Library, digest: str) -> int:
    size = await library.blobs.size(digest)
    if size is None:
        raise KernelNotFoundError(f"no blob is stored under {digest}; upload it first")
    return size


def _headers(digest: str) -> dict[str, str]:
    return {"ETag": etag(digest), "Accept-Ranges": "bytes", "Cache-Control": FOREVER}
