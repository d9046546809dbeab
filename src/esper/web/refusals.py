"""add_refusals: every server refuses alike: problems for errors, and 400 for a Host that is none."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from esper.contracts.errors import EsperError
from esper.web.host_names import is_host
from esper.web.problems import (
    ProblemCodes,
    on_esper_error,
    on_gone,
    on_http_exception,
    on_invalid_request,
    on_unexpected,
    problem_response,
)


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
