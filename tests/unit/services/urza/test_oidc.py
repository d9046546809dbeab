"""Tokens of an identity provider, with real keys: what is taken, and all that is not."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from esper.contracts.enums import Role
from esper.contracts.errors import AccessDeniedError, LibraryUnavailableError
from esper.services.urza.oidc import PAUSE_SECONDS, OidcCheck
from esper.services.urza.urza_config import OidcConfig
from support.clocks import StillClock

RSA = generate_private_key(65537, 2048)
ED = Ed25519PrivateKey.generate()


def _key_set(**keys: RSAPrivateKey | Ed25519PrivateKey) -> str:
    entries = []
    for key_id, key in keys.items():
        algorithm = RSAAlgorithm if isinstance(key, RSAPrivateKey) else OKPAlgorithm
        entries.append({**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id})
    return json.dumps({"keys": entries})


@pytest.fixture
def config(tmp_path: Path) -> OidcConfig:
    file = tmp_path / "jwks.json"
    file.write_text(_key_set(rsa=RSA, ed=ED), encoding="utf-8")
    return OidcConfig(issuer="https://id.example.org", jwks=str(file), audience="urza")


def _publish(config: OidcConfig, keys: str) -> None:
    Path(config.jwks).write_text(keys, encoding="utf-8")


def _claims(**changes: Any) -> dict[str, Any]:
    claims = {
        "iss": "https://id.example.org",
        "aud": "urza",
        "sub": "ada",
        "exp": time.time() + 600,
        "roles": ["trainer", "reader", "chess-player"],
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def _token(
    claims: Mapping[str, Any],
    key: Any = RSA,
    algorithm: str = "RS256",
    key_id: str | None = "rsa",
) -> str:
    headers = {} if key_id is None else {"kid": key_id}
    return jwt.encode(dict(claims), key, algorithm=algorithm, headers=headers)


@pytest.mark.asyncio
async def test_a_valid_token_speaks_for_its_subject_with_the_roles_that_are_ours(
    config: OidcConfig,
) -> None:
    principal = await OidcCheck(config, StillClock()).verify(_token(_claims()))
    assert principal.actor == "oidc/ada"
    assert principal.roles == {Role.TRAINER, Role.READER}
    assert principal.token_id == ""


@pytest.mark.asyncio
async def test_an_ed25519_key_is_as_good(config: OidcConfig) -> None:
    token = _token(_claims(), ED, "EdDSA", "ed")
    assert (await OidcCheck(config, StillClock()).verify(token)).actor == "oidc/ada"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://id.example.com"},
        {"aud": "another"},
        {"exp": 1_000_000_000},
        {"nbf": 4_000_000_000},
        {"exp": None},
        {"sub": None},
        {"aud": None},
        {"iss": None},
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(
    config: OidcConfig, changes: dict[str, Any]
) -> None:
    with pytest.raises(AccessDeniedError, match="is not valid here"):
        await OidcCheck(config, StillClock()).verify(_token(_claims(**changes)))


@pytest.mark.asyncio
async def test_a_token_of_a_stranger_who_uses_our_key_id_is_refused(config: OidcConfig) -> None:
    stranger = generate_private_key(65537, 2048)
    with pytest.raises(AccessDeniedError, match="Signature"):
        await OidcCheck(config, StillClock()).verify(_token(_claims(), stranger))


@pytest.mark.asyncio
@pytest.mark.parametrize("algorithm", ["none", "HS256"])
async def test_a_signature_that_anybody_could_make_is_refused(
    config: OidcConfig, algorithm: str
) -> None:
    secret = "" if algorithm == "none" else "0" * 64
    token = _token(_claims(), secret, algorithm)
    with pytest.raises(AccessDeniedError, match="taken are RS256"):
        await OidcCheck(config, StillClock()).verify(token)


@pytest.mark.asyncio
@pytest.mark.parametrize("token", ["", "a.b.c", "....", "x" * 5000])
async def test_what_is_no_token_is_refused(config: OidcConfig, token: str) -> None:
    with pytest.raises(AccessDeniedError):
        await OidcCheck(config, StillClock()).verify(token)


@pytest.mark.asyncio
async def test_a_new_key_is_found_without_a_restart_but_not_at_a_strangers_pace(
    config: OidcConfig,
) -> None:
    clock = StillClock()
    check = OidcCheck(config, clock)
    await check.verify(_token(_claims()))
    newer = generate_private_key(65537, 2048)
    _publish(config, _key_set(newer=newer))
    token = _token(_claims(), newer, key_id="newer")
    with pytest.raises(AccessDeniedError, match="has no key"):
        await check.verify(token)
    clock.advance(PAUSE_SECONDS + 1)
    assert (await check.verify(token)).actor == "oidc/ada"


@pytest.mark.asyncio
async def test_keys_that_cannot_be_read_are_trouble_of_ours_not_the_callers(
    config: OidcConfig, tmp_path: Path
) -> None:
    for content in (None, "no json", '{"keys": []}'):
        file = tmp_path / "other.json"
        if content is not None:
            file.write_text(content, encoding="utf-8")
        check = OidcCheck(replace(config, jwks=str(file)), StillClock())
        with pytest.raises(LibraryUnavailableError, match=r"check oidc\.jwks"):
            await check.verify(_token(_claims()))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "claims", "expected"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["admin"]}}, {Role.ADMIN}),
        ("scope", {"scope": "openid compiler"}, {Role.COMPILER}),
        ("roles", {"roles": None}, set()),
        ("roles", {"roles": {"admin": True}}, set()),
        ("roles", {"roles": [["admin"], 3]}, set()),
        ("roles.deeper", {}, set()),
    ],
)
async def test_roles_are_read_where_the_provider_puts_them(
    config: OidcConfig, path: str, claims: dict[str, Any], expected: set[Role]
) -> None:
    check = OidcCheck(replace(config, roles_claim=path), StillClock())
    principal = await check.verify(_token(_claims(**claims)))
    assert principal.roles == expected


@pytest.mark.asyncio
async def test_a_subject_that_is_no_plain_word_goes_by_its_digest(config: OidcConfig) -> None:
    check = OidcCheck(config, StillClock())
    principal = await check.verify(_token(_claims(sub="trainer-1/0123\nadmin" * 20)))
    assert principal.actor.startswith("oidc/")
    assert principal.actor.removeprefix("oidc/").isalnum()
    assert len(principal.actor) < 128
