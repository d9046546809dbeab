"""The application: every route with every role, and that no route escapes the table."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import APIRouter, FastAPI
from jwt.algorithms import OKPAlgorithm
from starlette.routing import Mount

from esper.contracts.enums import Role
from esper.contracts.errors import ConfigError
from esper.services.urza.access import ACCESS
from esper.services.urza.guarded_route import GuardedRoute, router
from esper.services.urza.urza_app import ROUTERS, create_app
from esper.services.urza.urza_config import OidcConfig
from support.urza_app import KERNEL_ID, Served, served

ROUTES = [route for each in ROUTERS for route in each.routes if isinstance(route, GuardedRoute)]
EXAMPLES = {
    "kernel_id": KERNEL_ID,
    "digest": KERNEL_ID,
    "blueprint_id": "bp-1",
    "name": "edge@production",
    "token_id": "0123456789abcdef",
}


def _address(route: GuardedRoute) -> tuple[str, str]:
    (method,) = route.methods
    return method, re.sub(r"{(\w+)}", lambda found: EXAMPLES[found[1]], route.path)


@pytest.mark.asyncio
@pytest.mark.parametrize("role", list(Role))
async def test_every_route_lets_in_who_the_table_names_and_nobody_else(
    urza: Served, role: Role
) -> None:
    for route in ROUTES:
        method, path = _address(route)
        # No body: whoever is let in is told so, whoever is not never gets that far.
        response = await urza.call(method, path, role=role)
        access = ACCESS[route.name]
        let_in = access is None or role in access
        where = f"{role} at {route.name}: {response.status_code} {response.text}"
        assert (response.status_code not in {401, 403}) is let_in, where
        assert response.status_code < 500, where


@pytest.mark.asyncio
async def test_without_a_token_only_the_open_routes_answer(urza: Served) -> None:
    for route in ROUTES:
        method, path = _address(route)
        response = await urza.call(method, path, role=None)
        assert (response.status_code != 401) is (ACCESS[route.name] is None), route.name
        if response.status_code == 401:
            assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.asyncio
async def test_without_authentication_reads_are_anonymous_and_nothing_else_is(
    tmp_path: Path,
) -> None:
    async with served(tmp_path, auth="none") as urza:
        for route in ROUTES:
            method, path = _address(route)
            response = await urza.call(method, path, role=None)
            access = ACCESS[route.name]
            anonymous = access is None or Role.READER in access
            assert (response.status_code != 401) is anonymous, route.name
        wrong = await urza.client.get("/metrics", headers={"Authorization": "Bearer nonsense"})
        assert wrong.status_code == 401
        elsewhere = await urza.client.get("/metrics", headers={"Host": "rebound.example.org"})
        assert elsewhere.status_code == 401


@pytest.mark.asyncio
async def test_who_is_refused_changes_nothing_and_their_body_is_not_read(urza: Served) -> None:
    before = await urza.library.audit.verify()
    for role in (None, Role.READER):
        for route in ROUTES:
            method, path = _address(route)
            if method in {"GET", "HEAD"}:
                continue

            async def body() -> AsyncIterator[bytes]:
                raise AssertionError("the body was read")
                yield b""

            response = await urza.call(method, path, role=role, content=body())
            assert response.status_code == (401 if role is None else 403)
    assert await urza.library.audit.verify() == before


@pytest.mark.asyncio
async def test_an_unlisted_route_fails_to_build(urza: Served) -> None:
    planted = router("/planted", "planted")

    @planted.get("/")
    async def look_here() -> dict[str, str]:
        return {}

    config = urza.app.state.urza.config
    with pytest.raises(ConfigError, match="without a row in the access table: look_here"):
        create_app(urza.library, config, routers=(*ROUTERS, planted))


@pytest.mark.asyncio
async def test_a_route_that_is_listed_but_not_guarded_fails_to_build(urza: Served) -> None:
    bare = APIRouter()

    @bare.get("/livez")
    async def livez() -> dict[str, str]:
        return {}

    mounted = APIRouter(routes=[Mount("/planted", FastAPI())])
    config = urza.app.state.urza.config
    for unguarded in (bare, mounted):
        with pytest.raises(ConfigError, match="is no GuardedRoute"):
            create_app(urza.library, config, routers=(*ROUTERS, unguarded))


@pytest.mark.asyncio
async def test_a_missing_route_fails_to_build(urza: Served) -> None:
    with pytest.raises(ConfigError, match="without a route"):
        create_app(urza.library, urza.app.state.urza.config, routers=ROUTERS[1:])


@pytest.mark.asyncio
async def test_others_are_not_served_without_authentication(urza: Served) -> None:
    config = replace(urza.app.state.urza.config, host="0.0.0.0", auth="none")
    with pytest.raises(ConfigError, match="can be reached from other machines"):
        create_app(urza.library, config)


@pytest.mark.asyncio
async def test_unknown_paths_and_methods_are_problems_too(urza: Served) -> None:
    nowhere = await urza.call("GET", "/api/v1/nowhere")
    assert (nowhere.status_code, nowhere.headers["content-type"]) == (
        404,
        "application/problem+json",
    )
    wrong = await urza.call("PATCH", f"/api/v1/kernels/{KERNEL_ID}")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "GET"
    many = await urza.call("PATCH", f"/api/v1/blobs/{KERNEL_ID}")
    assert many.headers["allow"] == "GET, HEAD, PUT"


@pytest.mark.asyncio
async def test_the_description_names_every_route_with_its_access(urza: Served) -> None:
    text = (await urza.call("GET", "/openapi.json")).json()
    operations = {
        operation["operationId"]: operation
        for path in text["paths"].values()
        for operation in path.values()
    }
    assert set(operations) == set(ACCESS) - {"openapi"}
    for name, operation in operations.items():
        assert ("security" in operation) is (ACCESS[name] is not None), name


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(_references(value) for value in node.values()))
    return set().union(*(_references(value) for value in node)) if isinstance(node, list) else set()


@pytest.mark.asyncio
async def test_the_description_has_no_loose_ends(urza: Served) -> None:
    text = urza.app.openapi()
    for reference in _references(text):
        node: Any = text
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert isinstance(node, dict)


@pytest.mark.asyncio
async def test_a_token_of_the_identity_provider_has_the_roles_that_it_names(
    tmp_path: Path,
) -> None:
    key = Ed25519PrivateKey.generate()
    public = {**OKPAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k"}
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps({"keys": [public]}), encoding="utf-8")
    oidc = OidcConfig(issuer="https://id.example.org", jwks=str(keys))
    claims = {"iss": oidc.issuer, "aud": oidc.audience, "sub": "ada", "exp": time.time() + 600}
    async with served(tmp_path / "library", oidc=oidc) as urza:
        for roles, expected in (["promoter"], 428), (["reader"], 403), ([], 403):
            token = jwt.encode(claims | {"roles": roles}, key, "EdDSA", headers={"kid": "k"})
            response = await urza.client.post(
                f"/api/v1/kernels/{KERNEL_ID}/transitions",
                json={"event": "validate"},
                headers={"Authorization": f"Bearer {token}"},
            )
            assert response.status_code == expected, response.text
