"""The reference of the library over HTTP: routes with who may call them, errors, metrics."""

from __future__ import annotations

from docs.generator.prose import cell, table
from docs.generator.source import link_to

from esper.contracts.enums import Role
from esper.services.urza.access import ACCESS
from esper.services.urza.guarded_route import GuardedRoute
from esper.services.urza.urza_app import ROUTERS
from esper.web import http_metrics, problems

_KINDS = {
    "kernels": "Kernels",
    "blobs": "Blobs",
    "blueprints": "Blueprints",
    "work": "Work for the forge",
    "field reports": "Field reports",
    "aliases": "Aliases",
    "audit": "Audit log",
    "garbage collections": "Garbage",
    "tokens": "Tokens",
    "condition": "The server",
}

_CONVENTIONS = """\
- `Authorization: Bearer TOKEN`: a token of `esper urza token issue`, or of the identity provider.
  Without authentication (loopback only) what every role may read is read without one; nothing is
  written without. A token that is revoked by another process is refused within two seconds.
- `ETag` is a record's revision, or a blob's digest. A change of an existing record needs `If-Match`
  with it (428 without, 412 if it is stale); `If-None-Match` saves reading again.
- `Idempotency-Key` on a POST: the same request with the same key is carried out once and answered
  as the first time, with `Idempotency-Replayed: true`.
- Lists come in pages: `limit`, and `cursor` with the `next_cursor` of the page before.
"""


def page() -> str:
    """The page."""
    return "\n".join(
        [
            "# The library over HTTP\n",
            (
                "What `esper urza serve` answers. Bodies are the records of\n"
                "[Events and messages](messages.md) as JSON; a running server describes itself at "
                "`/openapi.json`.\n"
            ),
            _CONVENTIONS,
            *(_routes(kind, title) for kind, title in _KINDS.items()),
            "## Errors\n",
            (
                "Every refusal is `application/problem+json` (RFC 9457). Its `code` names a class in\n"
                f"[`errors.py`]({link_to('esper.contracts.errors', 2)}), which is what the client "
                "raises:\n"
            ),
            table(
                ["code", "status", "meaning"],
                (
                    [f"`{error.__name__}`", _status(status), cell(error.__doc__ or "")]
                    for error, status in problems.STATUS.items()
                ),
            )
            + "\n",
            "## Metrics\n",
            (
                "At `/metrics`, in Prometheus' text format. A histogram has `_bucket`, `_sum` and "
                "`_count`.\n"
            ),
            _metrics(),
        ]
    )


def _routes(kind: str, title: str) -> str:
    found = [
        route
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, GuardedRoute) and route.tags == [kind]
    ]
    assert found, kind
    rows = [
        [
            f"`{' '.join(sorted(route.methods))} {route.path}`",
            _roles(route.name),
            cell((route.endpoint.__doc__ or "").strip()),
        ]
        for route in found
    ]
    return f"## {title}\n\n" + table(["route", "who", "what"], rows) + "\n"


def _roles(name: str) -> str:
    access = ACCESS[name]
    if access is None:
        return "everyone"
    if access == frozenset(Role):
        return "every role"
    return ", ".join(role.value for role in Role if role in access)


def _status(status: int) -> str:
    also = {412: "412; 409 without a precondition", 403: "401 without a valid token; 403"}
    return also.get(status, str(status))


def _metrics() -> str:
    text = http_metrics.__doc__ or ""
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [[part.strip() for part in row.strip("|").split("|")] for row in rows]
    cells = [[f"`esper_urza{name.strip('`')}`", what] for name, what in cells]
    return table(["metric", "what it counts"], cells)
