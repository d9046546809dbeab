"""Blobs over HTTP: bytes under their SHA-256, put once, read whole or in parts, never changed."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Header
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from esper.contracts.errors import KernelNotFoundError
from esper.services.urza.answers import NOT_MODIFIED, PREFIX, router
from esper.services.urza.byte_ranges import wanted_range
from esper.services.urza.etags import etag, unchanged
from esper.services.urza.kernel_library import Library
from esper.services.urza.parameters import DigestPath
from esper.services.urza.urza_state import ActorDep, LibraryDep
from esper.web.problems import documented

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
    responses=documented(409, 422)
    | {201: {"description": "Stored."}, 200: {"description": "It was there already."}},
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
    responses=documented(404, 422) | {200: {"description": "It is stored."}},
)
async def head_blob(library: LibraryDep, digest: DigestPath) -> Response:
    """Say whether a blob is stored, and how large it is."""
    size = await _size(library, digest)
    headers = _headers(digest) | {"Content-Length": str(size)}
    return Response(headers=headers, media_type=OCTETS)


@BLOBS.get(
    "/{digest}",
    response_class=Response,
    responses=documented(404, 416, 422)
    | NOT_MODIFIED
    | {
        200: {"description": "All of it.", **_BYTES},
        206: {"description": "The wanted part.", **_BYTES},
    },
)
async def get_blob(
    request: Request,
    library: LibraryDep,
    digest: DigestPath,
    range: Range = None,  # noqa: A002 the header's name
) -> Response:
    """Return a blob, or a part of it."""
    headers = _headers(digest)
    if unchanged(request.headers.get("if-none-match"), etag(digest)):
        # Only what is stored is "not modified".
        await _size(library, digest)
        return Response(status_code=304, headers=headers)
    size = await _size(library, digest)
    # A part of another content must not be joined to what the reader has.
    same = request.headers.get("if-range", etag(digest)) == etag(digest)
    part = wanted_range(range, size) if same else None
    start, end = part or (0, size)
    headers["Content-Length"] = str(end - start)
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
