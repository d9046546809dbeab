"""GuardedRoute: before a route's handler runs, who is asking is known, allowed, and not too much.

Every route of the server is one. The order is: authenticate, allow, count against the rate,
limit the body; nothing of a body is read before that.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Header
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from esper.contracts.enums import Role
from esper.contracts.errors import AccessDeniedError
from esper.services.urza.access import ACCESS, ANONYMOUS, OPEN, READ, Principal, allows
from esper.services.urza.authentication import Authenticator
from esper.services.urza.exchange import NOT_MODIFIED, answer, unchanged
from esper.services.urza.idempotency import KEY_HEADER
from esper.services.urza.kernel_library import Library
from esper.services.urza.request_limits import RateLimiter, check_announced, limited, too_many
from esper.services.urza.urza_config import UrzaConfig
from esper.web.draining import Draining
from esper.web.host_names import is_loopback
from esper.web.http_metrics import ROUTE, HttpMetrics
from esper.web.problems import documented

PRINCIPAL: Final = "esper.principal"
"""Key of the connection's scope under which the guard leaves who is asking."""


@dataclass(kw_only=True)
class ServerState(Draining):
    """Everything that outlives a request."""

    library: Library
    """The store."""
    config: UrzaConfig
    """The settings."""
    authenticator: Authenticator
    """Knows tokens."""
    limiter: RateLimiter
    """Knows who asks too often."""
    metrics: HttpMetrics
    """Counts."""


def state_of(request: Request) -> ServerState:
    """Return the state of the server that got the request."""
    return cast("ServerState", request.app.state.urza)


# Coroutines, because FastAPI would send plain functions through its thread pool.
async def _library(request: Request) -> Library:
    return state_of(request).library


async def _actor(request: Request) -> str:
    return cast("Principal", request.scope[PRINCIPAL]).actor


LibraryDep = Annotated[Library, Depends(_library)]
"""The store, as a route's argument."""
ActorDep = Annotated[str, Depends(_actor)]
"""Who is asking, as the audit log names it."""


Handler = Callable[[Request], Coroutine[Any, Any, Response]]

BODY_PATIENCE_SECONDS: Final = 30.0
"""How long a sender may be silent in the middle of a body."""
MOST_RECORD_BYTES: Final = 4 << 20
"""Largest body that is not a blob."""
_BLOB_ROUTES: Final = frozenset({"put_blob"})
_BODILESS: Final = frozenset({"GET", "HEAD"})


def router(path: str, tag: str) -> APIRouter:
    """Return a router for the routes under `path`, each guarded by the access table.

    A route's name, which is its function's, is its operation id too: generated clients have
    readable method names.
    """
    return APIRouter(
        prefix=path, tags=[tag], route_class=GuardedRoute, generate_unique_id_function=_name
    )


def _name(route: APIRoute) -> str:
    return route.name


async def _keyed(
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=255,
            description="Any text; the same request with the same key is carried out once.",
        ),
    ] = None,
) -> None:
    """Describe the header that every POST may carry; `Idempotency.once` reads it."""


class GuardedRoute(APIRoute):
    """A route that the access table rules.

    Its function returns a record, which is answered as JSON with its revision as entity tag;
    None, which is answered with 204; or a response of its own. With which problems it may refuse
    follows from what it takes.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Make the route of a function, with FastAPI's options."""
        if "POST" in options["methods"]:
            options["dependencies"] = [*(options.get("dependencies") or ()), Depends(_keyed)]
        super().__init__(path, endpoint, **options)
        self.responses = _problems(self) | self.responses

    def get_route_handler(self) -> Handler:
        """Return the handler with the guard before it."""
        self.dependant.call = _answering(self.endpoint, self.status_code or 200)
        handler = super().get_route_handler()
        field = self.body_field
        annotation = None if field is None else field.field_info.annotation
        body = None if annotation is None else TypeAdapter[Any](annotation)

        async def guarded(request: Request) -> Response:
            state, name = state_of(request), self.name
            request.scope[ROUTE] = name
            principal = await _admitted(request, state, name)
            request.scope[PRINCIPAL] = principal
            if request.method in _BODILESS:
                return _or_unchanged(request, await handler(request))
            most = state.config.max_body_bytes
            limit = most if name in _BLOB_ROUTES else min(most, MOST_RECORD_BYTES)
            check_announced(request.headers.get("content-length"), limit)
            receive = limited(request.receive, limit=limit, patience=BODY_PATIENCE_SECONDS)
            request = Request(request.scope, receive)
            if body is not None:
                await _check_body(request, body)
            if request.method == "POST" and KEY_HEADER in request.headers:
                return await state.library.idempotency.once(request, handler, name, principal.actor)
            return await handler(request)

        return guarded


def _problems(route: APIRoute) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of what else than success a route may be answered with."""
    if ACCESS.get(route.name) is OPEN:
        return {}
    methods = route.methods or set()
    statuses = {422}
    if route.dependant.path_params:
        statuses.add(404)
    if not _BODILESS.issuperset(methods):
        statuses.add(409)
    takes = {header.alias for part in route.dependant.dependencies for header in part.header_params}
    if "if-match" in takes:
        statuses |= {412, 428}
    tagged = "revision" in getattr(route.response_model, "model_fields", {})
    cached = {304: NOT_MODIFIED} if tagged and "GET" in methods else {}
    return documented(*statuses) | cached


def _answering(endpoint: Callable[..., Any], status: int) -> Callable[..., Any]:
    async def answering(**values: Any) -> Response:
        result = await endpoint(**values)
        if result is None:
            return Response(status_code=204)
        return result if isinstance(result, Response) else answer(result, status)

    return answering


def _or_unchanged(request: Request, response: Response) -> Response:
    """Return the answer to a read, or 304 if the reader has what it shows."""
    tag = response.headers.get("etag")
    if tag is None or not unchanged(request.headers.get("if-none-match"), tag):
        return response
    kept = {name: response.headers[name] for name in ("etag", "cache-control")}
    return Response(status_code=304, headers=kept)


async def _check_body(request: Request, model: TypeAdapter[Any]) -> None:
    """Check a JSON body against its model to the letter: `"1"` is no number, 0 is not false.

    FastAPI's own check, which follows, would convert such values.

    Raises:
        RequestValidationError: It is not what was declared.
    """
    try:
        model.validate_json(await request.body(), strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        where = [{**fault, "loc": ("body", *fault["loc"])} for fault in faults]
        raise RequestValidationError(where) from None


async def _admitted(request: Request, state: ServerState, name: str) -> Principal:
    """Return who may pass.

    Raises:
        HTTPException: 401, it is not known who is asking; 429, they ask too often.
        AccessDeniedError: They may not.
        LibraryUnavailableError: The token could not be checked.
    """
    access = ACCESS[name]
    if access is None:
        return ANONYMOUS
    address = request.client.host if request.client else "unknown"
    try:
        principal = await _identified(request, state, access)
    except AccessDeniedError as error:
        _count(state, f"address {address}")
        state.metrics.refused("unauthenticated")
        raise HTTPException(401, str(error), {"WWW-Authenticate": "Bearer"}) from None
    _count(state, f"address {address}" if principal is ANONYMOUS else principal.actor)
    if not allows(access, principal):
        state.metrics.refused("forbidden")
        has = ", ".join(sorted(principal.roles)) or "none"
        needed = ", ".join(sorted(access))
        raise AccessDeniedError(
            f"{name} needs one of the roles {needed}; this token has: {has}. Use another token."
        )
    return principal


async def _identified(request: Request, state: ServerState, access: frozenset[Role]) -> Principal:
    authorization = request.headers.get("authorization")
    if authorization is not None:
        return await state.authenticator.principal(authorization)
    # The name must be this machine's too: else a page in somebody's browser could read along
    # under a name of its own that it has pointed here.
    local = is_loopback(request.url.hostname or "")
    if state.config.auth == "none" and access is READ and local:
        return ANONYMOUS
    raise AccessDeniedError(
        "this needs a token; send 'Authorization: Bearer <token>' "
        "(`esper urza token issue` makes one)"
    )


def _count(state: ServerState, caller: str) -> None:
    wait = state.limiter.take(caller)
    if wait > 0:
        state.metrics.refused("rate")
        raise too_many(wait)
