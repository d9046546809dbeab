"""TokenGuard: lets nobody in who does not show the token, and no web page speak for its reader.

Without a token only this machine is served, and only under this machine's own names: else a page
in somebody's browser could read along under a name of its own that it has pointed here.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from esper.web.host_names import is_loopback
from esper.web.problems import problem_response

OPEN: Final = frozenset({"/livez", "/readyz"})
"""What everyone may ask, whatever the settings say."""
LOGIN: Final = "/login"
"""Where a browser shows the token."""
COOKIE: Final = "esper_nissa"
"""What a browser that has shown it brings along."""

_READING: Final = frozenset({"GET", "HEAD"})
_ELSEWHERE: Final = frozenset({"cross-site", "same-site"})
"""What browsers say (Fetch Metadata) of a request that a page of somebody else's makes."""
_COOKIE_SECONDS: Final = 30 * 24 * 3600
_LARGEST_FORM: Final = 4096
_WRONG_SECONDS: Final = 0.5
"""How long the answer to a wrong token takes."""
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Esper</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root{{color-scheme:light dark}}body{{font:1rem system-ui;max-width:24rem;margin:15vh auto;
padding:0 1rem}}input,button{{font:inherit;width:100%;padding:.5rem;margin:.25rem 0;
box-sizing:border-box}}</style></head><body><h1>Esper</h1><form method="post">
<label for="token">Token</label><input id="token" name="token" type="password" required autofocus
autocomplete="current-password"><button>Sign in</button></form><p role="alert">{trouble}</p>
<p>The token is what <code>ESPER_NISSA_TOKEN</code> says where Nissa runs.</p></body></html>"""


class TokenGuard:
    """ASGI middleware before everything that Nissa serves, the dashboard included."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        """Stand before `app`; without a token this machine's own callers pass."""
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the exchange on, or refuse it."""
        if scope["type"] == "http":
            refusal = await self._refusal(Request(scope, receive))
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _refusal(self, request: Request) -> Response | None:
        """Return the answer for who may not pass; None lets the request through."""
        if request.url.path in OPEN:
            return None
        if request.method not in _READING and request.headers.get("sec-fetch-site") in _ELSEWHERE:
            return problem_response(403, "a page of another site cannot change anything here")
        if self._token is None:
            if is_loopback(request.url.hostname or ""):
                return None
            return problem_response(
                403,
                "without a token Nissa answers under this machine's own names only; ask "
                "127.0.0.1 or localhost, or set ESPER_NISSA_TOKEN",
            )
        if request.url.path == LOGIN:
            return await self._login(request, self._token)
        if _shown(request, self._token):
            return None
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            page = quote(request.url.path)
            return RedirectResponse(f"{LOGIN}?next={page}", 303)
        return problem_response(
            401,
            "this needs the token that ESPER_NISSA_TOKEN says; send 'Authorization: Bearer "
            f"<token>', or open {LOGIN} in a browser",
            headers={"WWW-Authenticate": "Bearer"},
        )

    async def _login(self, request: Request, token: str) -> Response:
        if request.method != "POST":
            return _page(200, "")
        if not hmac.compare_digest(await _form_token(request), token):
            await asyncio.sleep(_WRONG_SECONDS)
            return _page(401, "That is not the token.")
        answer = RedirectResponse(_own_path(request.query_params.get("next", "/")), 303)
        answer.set_cookie(
            COOKIE,
            _pass(token),
            max_age=_COOKIE_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer


def _shown(request: Request, token: str) -> bool:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and _same(given.strip(), token):
        return True
    return _same(request.cookies.get(COOKIE, ""), _pass(token))


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _pass(token: str) -> str:
    """Return what a browser keeps in place of the token: a new token makes it worthless."""
    return hmac.digest(token.encode(), b"esper nissa cookie", hashlib.sha256).hex()


async def _form_token(request: Request) -> str:
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST_FORM:
                return ""
    except ClientDisconnect:
        return ""
    given = parse_qs(body.decode("ascii", "replace")).get("token", [""])
    return given[0].encode("ascii", "replace").decode()


def _own_path(path: str) -> str:
    """Return where to go after signing in: a page of ours, whatever a link says."""
    parts = urlsplit(path)
    own = not parts.scheme and not parts.netloc and path.startswith("/") and "\\" not in path
    return path if own and not path.startswith("//") else "/"


def _page(status: int, trouble: str) -> Response:
    return HTMLResponse(_PAGE.format(trouble=trouble), status, {"Cache-Control": "no-store"})
