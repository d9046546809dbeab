"""Answers that are records: the bytes of a contract, with the entity tag of its revision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from esper.services.urza.etags import etag, unchanged
from esper.services.urza.guarded_route import GuardedRoute

PREFIX: Final = "/api/v1"
JSON: Final = "application/json"
REVALIDATE: Final = "private, no-cache"
"""`Cache-Control` of a record: may be kept, must be asked about."""


def router(path: str, tag: str) -> APIRouter:
    """Return a router for the routes under `path`, each guarded by the access table.

    A route's name, which is its function's, is its operation id too: generated clients have
    readable method names.
    """
    return APIRouter(
        prefix=path, tags=[tag], route_class=GuardedRoute, generate_unique_id_function=_name
    )


def answer(
    record: BaseModel,
    status: int = 200,
    *,
    revision: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a record as JSON.

    Args:
        record: A contract.
        status: HTTP status.
        revision: The record's, for the entity tag; None if it has none.
        headers: Further headers.
    """
    tagged = {} if revision is None else {"ETag": etag(revision), "Cache-Control": REVALIDATE}
    return Response(record.model_dump_json(), status, {**tagged, **(headers or {})}, JSON)


def read_answer(request: Request, record: BaseModel, revision: int) -> Response:
    """Return a record, or 304 if the reader has it in this revision."""
    tag = etag(revision)
    if unchanged(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers={"ETag": tag, "Cache-Control": REVALIDATE})
    return answer(record, revision=revision)


NOT_MODIFIED: Final[dict[int | str, dict[str, Any]]] = {304: {"description": "Not Modified"}}
"""For OpenAPI: the reader has what there is."""


def also(status: int, description: str, model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of a second way to succeed."""
    return {status: {"description": description, "model": model}}


def _name(route: APIRoute) -> str:
    return route.name
