"""Errors as the wire shows them: `application/problem+json` (RFC 9457), never a stack trace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final
from uuid import uuid4

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from esper.contracts.base import Contract, Count, Name, Several, Text
from esper.contracts.errors import (
    AccessDeniedError,
    AlertNotFoundError,
    ArtifactError,
    BlueprintError,
    BusUnavailableError,
    EsperError,
    IllegalTransitionError,
    KernelNotFoundError,
    LeaseLostError,
    LibraryError,
    LibraryNotFoundError,
    LibraryUnavailableError,
    PlatformError,
    RevisionConflictError,
    RunNotFoundError,
    RunStoreError,
    SubmissionError,
)
from esper.utils.logging import get_logger
from esper.web.host_names import is_host

MEDIA_TYPE: Final = "application/problem+json"
_METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
RETRY_SECONDS: Final = 2
"""What `Retry-After` says while the server cannot serve."""

STATUS: Final[Mapping[type[EsperError], int]] = MappingProxyType(
    {
        LibraryNotFoundError: 404,
        KernelNotFoundError: 404,
        LeaseLostError: 409,
        IllegalTransitionError: 409,
        RevisionConflictError: 412,
        AccessDeniedError: 403,
        SubmissionError: 422,
        BlueprintError: 422,
        ArtifactError: 422,
        LibraryUnavailableError: 503,
        RunNotFoundError: 404,
        AlertNotFoundError: 404,
        RunStoreError: 503,
        BusUnavailableError: 503,
    }
)
"""Error class -> status; the nearest ancestor decides, and what has none here is a 500."""


@dataclass(frozen=True, kw_only=True)
class ProblemCodes:
    """What a server calls the problems that no error class stands for."""

    of_status: Mapping[int, type[EsperError]]
    """Status -> the class that says it."""
    otherwise: type[EsperError]
    """The class for every other status; the kind is the status's own phrase then."""


PLATFORM_CODES: Final = ProblemCodes(
    of_status=MappingProxyType({401: AccessDeniedError, 403: AccessDeniedError}),
    otherwise=PlatformError,
)
"""Of servers that are no library."""

LIBRARY_CODES: Final = ProblemCodes(
    of_status=MappingProxyType(
        {
            401: AccessDeniedError,
            403: AccessDeniedError,
            404: LibraryNotFoundError,
            408: LibraryUnavailableError,
            412: RevisionConflictError,
            413: SubmissionError,
            422: SubmissionError,
            428: RevisionConflictError,
            429: LibraryUnavailableError,
            503: LibraryUnavailableError,
        }
    ),
    otherwise=LibraryError,
)
"""Of a library: its clients raise these classes again."""


class Fault(Contract):
    """One thing that is wrong with what was sent."""

    where: Text
    """Path to the value, for example `body.blueprint.name`."""
    message: Text
    """What is wrong with it; never the value itself, which may be a secret."""


class Problem(Contract):
    """An error, as RFC 9457 has it."""

    type: Name
    """Kind of the problem, `urn:esper:problem:<kind>`."""
    title: Name
    """The kind in words; the same for every problem of it."""
    status: Count
    """The HTTP status."""
    detail: Text
    """What failed, with which value, and what to do about it."""
    instance: Name
    """This one occurrence, `urn:uuid:...`; the server's log names it too."""
    code: Name
    """Name of the error class in `esper.contracts.errors`."""
    faults: Several[Fault] = ()
    """What is wrong with the request, value by value, where that is known."""


_log = get_logger("web")


def problem_response(
    status: int,
    detail: Text,
    *,
    codes: ProblemCodes = PLATFORM_CODES,
    code: str | None = None,
    faults: tuple[Fault, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer that reports a problem.

    Args:
        status: HTTP status.
        detail: What failed, and what to do about it.
        codes: What the server calls its problems.
        code: Name of the error class; None means the one that belongs to the status.
        faults: What is wrong with the request, value by value.
        headers: Further headers, `Retry-After` for example.
    """
    name = code or codes.of_status.get(status, codes.otherwise).__name__
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("Error")).lower()
    kind = words if code or status in codes.of_status else HTTPStatus(status).phrase.lower()
    problem = Problem(
        type=f"urn:esper:problem:{re.sub(r'[^a-z]+', '-', kind)}",
        title=kind.capitalize(),
        status=status,
        detail=detail,
        instance=f"urn:uuid:{uuid4()}",
        code=name,
        faults=faults,
    )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning(
            "the server cannot answer", instance=problem.instance, status=status, code=name
        )
    return Response(problem.model_dump_json(), status, dict(headers or {}), MEDIA_TYPE)


def status_of(error: EsperError, *, conditional: bool) -> int:
    """Return the status for an error.

    Args:
        error: The error.
        conditional: Whether the request carried `If-Match` or `If-None-Match`: only then can a
            conflict be a precondition that failed.
    """
    status = next((STATUS[cls] for cls in type(error).__mro__ if cls in STATUS), 500)
    return 409 if status == HTTPStatus.PRECONDITION_FAILED and not conditional else status


async def on_esper_error(request: Request, error: Exception) -> Response:
    """Answer for an error that was raised on purpose."""
    assert isinstance(error, EsperError)
    conditional = not {"if-match", "if-none-match"}.isdisjoint(request.headers.keys())
    status = status_of(error, conditional=conditional)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, LibraryError):
        # Its message was not written for callers from outside, and may name files or hosts.
        return await on_unexpected(request, error)
    headers = (
        {"Retry-After": str(RETRY_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    )
    return problem_response(status, str(error), code=_public_name(error), headers=headers)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer for a refusal by the server itself: unknown path, wrong method, limit, range."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    detail = str(error.detail)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
        detail = f"{request.method} is not possible here; possible: {headers['Allow']}"
    elif detail == HTTPStatus.NOT_FOUND.phrase:
        # The router's own word for a path that no route has.
        detail = (
            f"there is nothing at {request.scope['path']!r:.200}; /openapi.json has what there is"
        )
    return problem_response(error.status_code, detail, codes=_codes(request), headers=headers)


async def on_invalid_request(request: Request, error: Exception) -> Response:
    """Answer for a request whose parts do not have the declared form."""
    assert isinstance(error, RequestValidationError)
    faults = tuple(_fault(entry) for entry in error.errors()[:20])
    detail = "; ".join(f"{fault.where}: {fault.message}" for fault in faults[:3])
    return problem_response(422, detail, codes=_codes(request), faults=faults)


async def on_gone(request: Request, error: Exception) -> Response:
    """Answer somebody who hung up in the middle of a body: nobody reads it, and nothing failed."""
    assert isinstance(error, ClientDisconnect)
    detail = "the connection ended before the body did; send it again"
    return problem_response(400, detail, codes=_codes(request))


async def on_unexpected(request: Request, error: Exception) -> Response:
    """Answer for a defect: a number to look up, and nothing of what went wrong."""
    detail = "the server failed; its log says more under this instance"
    response = problem_response(500, detail, codes=_codes(request))
    # The problem's body is the one place where the instance stands.
    _log.error("the server failed", answer=bytes(response.body).decode(), exc_info=error)
    return response


def _codes(request: Request) -> ProblemCodes:
    app = request.scope.get("app")
    return PLATFORM_CODES if app is None else app.state.problem_codes


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's description of the problems that a route may answer with."""
    every = {401, 403, 408, 413, 429, 500, 503, *statuses}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted(every)
    }


def _methods(request: Request) -> list[str]:
    """Return the methods of a path, whichever routes and routers they are spread over."""
    routes = request.app.routes
    asked = ({**request.scope, "method": method} for method in _METHODS)
    return [
        scope["method"]
        for scope in asked
        if any(route.matches(scope)[0] is Match.FULL for route in routes)
    ]


def _fault(entry: Mapping[str, Any]) -> Fault:
    where = ".".join(str(part) for part in entry.get("loc", ()))
    return Fault(where=where, message=str(entry.get("msg", "is not valid")))


def _public_name(error: EsperError) -> str:
    # A subclass that the tree in contracts does not have goes by its documented ancestor.
    known = EsperError.__module__
    return next(cls.__name__ for cls in type(error).__mro__ if cls.__module__ == known)


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the description of all routes; what a `Problem` is stands in it once."""
    text = get_openapi(title=app.title, version=app.version, routes=app.routes)
    parts = text.setdefault("components", {}).setdefault("schemas", {})
    template = "#/components/schemas/{model}"
    schema = Problem.model_json_schema(mode="serialization", ref_template=template)
    parts.update(schema.pop("$defs", {}))
    parts["Problem"] = schema
    return text


def install(app: FastAPI, description: dict[str, Any]) -> None:
    """Let the application give this description of itself."""
    # FastAPI's own way to replace the description (its guide, "Extending OpenAPI").
    setattr(app, "openapi", lambda: description)  # noqa: B010 mypy refuses a plain assignment


class HostCheck:
    """ASGI middleware: answers 400 where the Host is missing, given twice, or no host."""

    def __init__(self, app: ASGIApp, codes: ProblemCodes) -> None:
        """Stand before `app`."""
        self._app = app
        self._codes = codes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the exchange on, or refuse it."""
        if scope["type"] == "http":
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            # HTTP/1.0 had none.
            missing = not hosts and scope["http_version"] == "1.0"
            if not missing and not (len(hosts) == 1 and is_host(hosts[0].decode("latin-1"))):
                detail = "the request's Host header must be one host, such as localhost:8430"
                await problem_response(400, detail, codes=self._codes)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def add_refusals(app: FastAPI, codes: ProblemCodes) -> None:
    """Let `app` answer errors as problems; called after its other middleware was added.

    Args:
        app: The application.
        codes: What it calls its problems.
    """
    app.state.problem_codes = codes
    app.add_middleware(HostCheck, codes=codes)
    app.add_exception_handler(EsperError, on_esper_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(ClientDisconnect, on_gone)
    app.add_exception_handler(Exception, on_unexpected)
