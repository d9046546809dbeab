"""Who may call which route: one table. A route that is not in it cannot be served."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from esper.contracts.enums import Role
from esper.contracts.errors import ConfigError
from esper.web.host_names import is_loopback

Access = frozenset[Role] | None
"""The roles that may call a route; None for a route that is open to everyone."""

OPEN: Final[Access] = None
READ: Final[Access] = frozenset(Role)
_SUBMIT: Final[Access] = frozenset({Role.TRAINER, Role.ADMIN})
_COMPILE: Final[Access] = frozenset({Role.COMPILER, Role.ADMIN})
_UPLOAD: Final[Access] = frozenset({Role.TRAINER, Role.COMPILER, Role.ADMIN})
_PROMOTE: Final[Access] = frozenset({Role.PROMOTER, Role.ADMIN})
_ADMINISTER: Final[Access] = frozenset({Role.ADMIN})

ACCESS: Final[Mapping[str, Access]] = MappingProxyType(
    {
        "livez": OPEN,
        "readyz": OPEN,
        "metrics": READ,
        "openapi": READ,
        "submit_blueprint": _SUBMIT,
        "search_blueprints": READ,
        "get_blueprint": READ,
        "move_blueprint": _PROMOTE,
        "list_unvalidated_blueprints": _COMPILE,
        "grant_lease": _COMPILE,
        "renew_lease": _COMPILE,
        "complete_lease": _COMPILE,
        "fail_lease": _COMPILE,
        "put_blob": _UPLOAD,
        "head_blob": READ,
        "get_blob": READ,
        "register_kernel": _UPLOAD,
        "search_kernels": READ,
        "get_kernel": READ,
        "move_kernel": _PROMOTE,
        "sign_kernel": _PROMOTE,
        "get_lineage": READ,
        "list_field_reports": READ,
        "add_field_report": _SUBMIT,
        "list_aliases": READ,
        "get_alias": READ,
        "put_alias": _PROMOTE,
        "delete_alias": _PROMOTE,
        "list_audit": _ADMINISTER,
        "verify_audit": _ADMINISTER,
        "collect_garbage": _ADMINISTER,
        "list_tokens": _ADMINISTER,
        "issue_token": _ADMINISTER,
        "revoke_token": _ADMINISTER,
    }
)
"""Route name -> who may call it. The tests try every route with every role."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request."""

    actor: str
    """Name in the audit log."""
    roles: frozenset[Role]
    """What it may do."""
    token_id: str = ""
    """Which of the library's own tokens it sent; empty for none of them."""
    expires_at: float = math.inf
    """End of the token, seconds since the epoch."""


ANONYMOUS: Final = Principal("anonymous", frozenset({Role.READER}))
"""Whoever reads without a token, where the settings let them."""


def allows(access: Access, principal: Principal) -> bool:
    """Return whether `principal` may call a route with this access."""
    return access is None or not access.isdisjoint(principal.roles)


def check_listed(names: Iterable[str], table: Mapping[str, Access] = ACCESS) -> None:
    """Check that exactly the routes of the table are served, each once.

    Raises:
        ConfigError: A route is not in the table, a row has no route, or a name stands twice.
    """
    served = Counter(names)
    for wrong, words in (
        (served.keys() - table.keys(), "routes without a row in the access table"),
        (table.keys() - served.keys(), "rows of the access table without a route"),
        ({name for name, times in served.items() if times > 1}, "route names that stand twice"),
    ):
        if wrong:
            raise ConfigError(
                f"{words}: {', '.join(sorted(wrong))}. Say in ACCESS (services/urza/access.py) "
                "who may call what is served, and nothing else."
            )


def check_exposure(host: str, auth: str) -> None:
    """Check that a library without authentication is reachable from this machine only.

    Raises:
        ConfigError: `host` is not a loopback address and `auth` is `none`.
    """
    if auth == "none" and not is_loopback(host):
        raise ConfigError(
            f"host {host!r} can be reached from other machines, and auth is 'none'. "
            "Set auth to 'token', or listen on 127.0.0.1."
        )
