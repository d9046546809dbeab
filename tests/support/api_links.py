"""OpenAPI links: which answer holds what another request needs. One table.

Testers follow them: a lease's token to its renewal, a revision to the next change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_BLUEPRINT: Final = {"path.blueprint_id": "$response.body#/blueprint/blueprint_id"}
_KERNEL: Final = {"path.kernel_id": "$response.body#/metadata/kernel_id"}
_ALIAS: Final = {"path.name": "$response.body#/name"}
_DIGEST: Final = {"path.digest": "$request.path.digest"}
_REVISION: Final = {"header.if-match": "$response.header.ETag"}
_LEASE_TOKEN: Final = {"token": "$response.body#/token"}

Link = tuple[str, Mapping[str, str], Mapping[str, str] | None]
"""Operation that can follow, its parameters, and what its body takes over."""

LINKS: Final[Mapping[str, tuple[Link, ...]]] = {
    "submit_blueprint": (
        ("get_blueprint", _BLUEPRINT, None),
        ("move_blueprint", _BLUEPRINT | _REVISION, None),
    ),
    "get_blueprint": (("move_blueprint", _BLUEPRINT | _REVISION, None),),
    "put_blob": (
        ("get_blob", _DIGEST, None),
        ("head_blob", _DIGEST, None),
        ("register_kernel", {}, {"kernel_id": "$request.path.digest"}),
    ),
    "register_kernel": (
        ("get_kernel", _KERNEL, None),
        ("move_kernel", _KERNEL | _REVISION, None),
        ("sign_kernel", _KERNEL, None),
        ("get_lineage", _KERNEL, None),
        ("list_field_reports", _KERNEL, None),
        ("get_blob", {"path.digest": _KERNEL["path.kernel_id"]}, None),
        ("put_alias", {}, {"kernel_id": _KERNEL["path.kernel_id"]}),
        ("add_field_report", {}, {"kernel_id": _KERNEL["path.kernel_id"]}),
    ),
    "get_kernel": (("move_kernel", _KERNEL | _REVISION, None),),
    "move_kernel": (("move_kernel", _KERNEL | _REVISION, None),),
    "grant_lease": (
        ("renew_lease", _BLUEPRINT, _LEASE_TOKEN),
        ("complete_lease", _BLUEPRINT, _LEASE_TOKEN),
        ("fail_lease", _BLUEPRINT, _LEASE_TOKEN),
    ),
    "put_alias": (
        ("get_alias", _ALIAS, None),
        ("put_alias", _ALIAS | _REVISION, None),
        ("delete_alias", _ALIAS | _REVISION, None),
    ),
    "issue_token": (("revoke_token", {"path.token_id": "$response.body#/record/token_id"}, None),),
}
"""Operation -> what can follow its success."""


def add_links(description: dict[str, Any]) -> None:
    """Add the links to an OpenAPI description, in place."""
    paths = description["paths"].values()
    operations = {entry["operationId"]: entry for path in paths for entry in path.values()}
    for name, links in LINKS.items():
        for target, parameters, body in links:
            _check(operations[target], parameters, body)
        for status, response in operations[name]["responses"].items():
            if status in {"200", "201"}:
                response["links"] = {
                    target: _link(target, parameters, body) for target, parameters, body in links
                }


def _check(
    target: Mapping[str, Any], parameters: Mapping[str, str], body: Mapping[str, str] | None
) -> None:
    """A link gives parameters that its target has."""
    known = {f"{entry['in']}.{entry['name']}" for entry in target.get("parameters", ())}
    assert set(parameters) <= known, target["operationId"]
    assert body is None or "requestBody" in target, target["operationId"]


def _link(
    target: str, parameters: Mapping[str, str], body: Mapping[str, str] | None
) -> dict[str, Any]:
    link: dict[str, Any] = {"operationId": target, "parameters": dict(parameters)}
    return link if body is None else {**link, "requestBody": dict(body)}
