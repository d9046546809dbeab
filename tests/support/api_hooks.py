"""Hooks for schemathesis: what random data never hits, so that more than refusals is tried.

Only cases that are meant to be valid are changed, and not all of them.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any
from uuid import uuid4

import httpx
import schemathesis
from schemathesis import Case, GenerationMode, HookContext, Response

from support.api_links import add_links

SEEDS: dict[str, Any] = json.loads(os.environ.get("ESPER_API_SEEDS", "{}"))
"""Where the server is, with which token; a valid blueprint; digests of blobs that are stored; ids
of tokens that are in use."""
_FIGURES = ("architecture", "input_shape", "output_shape", "parameters")
_CONDITIONAL = {"move_blueprint", "move_kernel", "put_alias", "delete_alias"}
_LEASED = {"renew_lease", "complete_lease", "fail_lease"}
_leases: list[dict[str, Any]] = []


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    add_links(raw_schema)


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    name = case.operation.definition.raw.get("operationId")
    if name == "revoke_token" and case.path_parameters.get("token_id") in SEEDS["tokens"]:
        # Links lead from the list of tokens to the one that all this is done with.
        case.path_parameters["token_id"] = "spared"
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if name == "put_blob" and isinstance(case.body, bytes):
        case.path_parameters["digest"] = hashlib.sha256(case.body).hexdigest()
    # A share of them, by what they are: a run with the same seed changes the same.
    what = repr((name, case.path_parameters, case.body)).encode()
    chance = int.from_bytes(hashlib.sha256(what).digest()[:4], "big")
    share = 7 if name in _CONDITIONAL | _LEASED else 4
    if chance % 8 < share:
        _make_sense(name, case, chance // 8)


@schemathesis.hook
def after_call(context: HookContext, case: Case, response: Response) -> None:
    name = case.operation.definition.raw.get("operationId")
    if name == "grant_lease" and response.status_code == 201:
        _leases.append(response.json())
    elif name in {"complete_lease", "fail_lease"} and response.status_code == 200:
        ended = case.path_parameters["blueprint_id"]
        _leases[:] = [lease for lease in _leases if lease["blueprint"]["blueprint_id"] != ended]


def _make_sense(name: str, case: Case, chance: int) -> None:
    body: Any = case.body if isinstance(case.body, dict) else {}
    kernel_id = SEEDS["kernels"][chance % len(SEEDS["kernels"])]
    if name == "submit_blueprint":
        body |= {key: SEEDS["blueprint"][key] for key in _FIGURES}
    elif name in _LEASED:
        lease = _lease()
        case.path_parameters["blueprint_id"] = lease["blueprint"]["blueprint_id"]
        body["token"] = lease["token"]
    elif name == "delete_alias":
        case.path_parameters["name"] = "edge@staging"
        target, new = {"kernel_id": SEEDS["kernels"][0]}, {"If-None-Match": "*"}
        _ask("PUT", "/api/v1/aliases/edge@staging", json=target, headers=new)
    if name in _CONDITIONAL:
        path = case.formatted_path.removesuffix("/transitions")
        case.headers["if-match"] = _ask("GET", path).headers.get("ETag", '"1"')
    if name == "move_blueprint":
        body["event"] = ("archive", "reopen")[chance % 2]
    elif name == "move_kernel":
        body["event"] = ("validate", "retire", "reinstate")[chance % 3]
    elif name == "complete_lease":
        body["registration"] = {"kernel_id": kernel_id}
        body["report"] = {**body["report"], "passed": True}
    elif name == "register_kernel":
        body["blueprint_id"] = None
    if "kernel_id" in body:
        body["kernel_id"] = kernel_id


def _lease() -> dict[str, Any]:
    """A lease that has not ended; a new one, of a new blueprint, if there is none."""
    if not _leases:
        blueprint = {**SEEDS["blueprint"], "blueprint_id": str(uuid4())}
        _ask("POST", "/api/v1/blueprints/", json=blueprint)
        wanted = {"worker": "w", "seconds": 600}
        _leases.append(_ask("POST", "/api/v1/internal/leases", json=wanted).json())
    return _leases[-1]


def _ask(method: str, path: str, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {SEEDS['token']}", **options.pop("headers", {})}
    return httpx.request(method, SEEDS["url"] + path, headers=headers, timeout=300, **options)
