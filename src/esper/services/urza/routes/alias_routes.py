"""Aliases over HTTP: names that point at kernels, changed by compare-and-swap."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from esper.contracts.library import Alias, Page
from esper.services.urza.answers import (
    NOT_MODIFIED,
    PREFIX,
    also,
    answer,
    expected_revision,
    read_answer,
    required_revision,
    router,
)
from esper.services.urza.bodies import AliasPath, AliasTarget, Cursor, IfMatch, IfNoneMatch, Limit
from esper.services.urza.urza_state import ActorDep, LibraryDep
from esper.web.problems import documented

ALIASES: Final[APIRouter] = router(f"{PREFIX}/aliases", "aliases")


@ALIASES.get("/", response_model=Page[Alias], responses=documented(422))
async def list_aliases(library: LibraryDep, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """List aliases by name."""
    return answer(await library.aliases.list(cursor, limit))


@ALIASES.get("/{name}", response_model=Alias, responses=documented(404, 422) | NOT_MODIFIED)
async def get_alias(request: Request, library: LibraryDep, name: AliasPath) -> Response:
    """Return where an alias points."""
    alias = await library.aliases.get(name)
    return read_answer(request, alias, alias.revision)


@ALIASES.put(
    "/{name}",
    response_model=Alias,
    responses=documented(404, 409, 412, 422, 428) | also(201, "It is new.", Alias),
)
async def put_alias(
    library: LibraryDep,
    actor: ActorDep,
    name: AliasPath,
    target: AliasTarget,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Point an alias at a kernel, if it is as the caller believes it to be."""
    revision = expected_revision(if_match, if_none_match)
    alias = await library.aliases.put(actor, name, target.kernel_id, revision)
    return answer(alias, 201 if revision is None else 200, revision=alias.revision)


@ALIASES.delete(
    "/{name}",
    status_code=204,
    response_class=Response,
    responses=documented(404, 409, 412, 422, 428),
)
async def delete_alias(
    library: LibraryDep, actor: ActorDep, name: AliasPath, if_match: IfMatch = None
) -> Response:
    """Remove an alias; the kernel stays."""
    await library.aliases.delete(actor, name, required_revision(if_match))
    return Response(status_code=204)
