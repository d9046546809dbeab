"""Tokens of an identity provider: JSON Web Tokens, checked against its published keys (OIDC).

The keys are fetched here and not by PyJWT's client, which blocks the loop, reads an answer of any
size and no file, and bounds only in its newest versions how often the key names that strangers make
up send it to the provider.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
from jwt import PyJWK, PyJWKSet

from esper.contracts.enums import Role
from esper.contracts.errors import AccessDeniedError, LibraryUnavailableError
from esper.contracts.ports import Clock
from esper.services.urza.access import Principal
from esper.services.urza.urza_config import OidcConfig

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
"""Signatures that are taken: those with a private key that only the provider has."""
KEYS_SECONDS: Final = 600.0
"""How long the provider's keys are used before they are fetched again."""
PAUSE_SECONDS: Final = 10.0
"""Least time between two fetches, whatever keys strangers' tokens name."""
_LEEWAY_SECONDS: Final = 30.0
_FETCH_SECONDS: Final = 5.0
_LONGEST_ANSWER: Final = 1 << 20
_PLAIN: Final = re.compile(r"[A-Za-z0-9|@:._+-]{1,100}")


class KeySet:
    """The provider's public keys by name, fetched when they are needed and kept for a while."""

    def __init__(self, source: str, clock: Clock) -> None:
        """Remember where the keys are; nothing is fetched yet.

        Args:
            source: An `https://` URL (or `http://` on this machine), or the path of a file.
            clock: Tells the time.
        """
        self._source = source
        self._clock = clock
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_at = float("-inf")
        self._lock = asyncio.Lock()

    async def key(self, key_id: str) -> PyJWK:
        """Return the key of that name.

        Raises:
            AccessDeniedError: The provider has no such key.
            LibraryUnavailableError: Its keys cannot be read.
        """
        if self._is_due(key_id):
            async with self._lock:
                if self._is_due(key_id):
                    await self._fetch()
        try:
            return self._keys[key_id]
        except KeyError:
            raise AccessDeniedError(
                f"the identity provider has no key {key_id[:64]!r}; sign in again"
            ) from None

    def _is_due(self, key_id: str) -> bool:
        age = self._clock.monotonic() - self._fetched_at
        return age > (KEYS_SECONDS if key_id in self._keys else PAUSE_SECONDS)

    async def _fetch(self) -> None:
        try:
            keys = PyJWKSet.from_json(await self._read())
        except (OSError, ValueError, httpx.HTTPError, jwt.PyJWTError) as error:
            raise LibraryUnavailableError(
                f"the identity provider's keys cannot be read from {self._source}: "
                f"{type(error).__name__}; check oidc.jwks and the way there"
            ) from error
        self._keys = {
            key.key_id: key
            for key in keys.keys
            if key.key_id and key.public_key_use in {"sig", None}
        }
        self._fetched_at = self._clock.monotonic()

    async def _read(self) -> str:
        if not self._source.startswith(("https://", "http://")):
            return await asyncio.to_thread(Path(self._source).read_text, encoding="utf-8")
        async with httpx.AsyncClient(timeout=_FETCH_SECONDS, follow_redirects=False) as client:
            answer = (await client.get(self._source)).raise_for_status()
        if len(answer.content) > _LONGEST_ANSWER:
            raise ValueError("the key set is larger than a key set can be")
        return answer.text


class OidcCheck:
    """Checks a token's signature, issuer, audience and time, and reads its roles."""

    def __init__(self, config: OidcConfig, clock: Clock) -> None:
        """Prepare for one provider; its keys are fetched when the first token comes."""
        self._config = config
        self._keys = KeySet(config.jwks, clock)

    async def verify(self, token: str) -> Principal:
        """Return who the token speaks for.

        Raises:
            AccessDeniedError: It is not a valid token of this provider for this library.
            LibraryUnavailableError: The provider's keys cannot be read.
        """
        try:
            header = jwt.get_unverified_header(token)
            # Checked before any key is fetched: a stranger's token must not cause traffic.
            if header.get("alg") not in ALGORITHMS or not isinstance(header.get("kid"), str):
                raise AccessDeniedError(
                    f"the token is signed with {header.get('alg')!r}, or does not name its key; "
                    f"taken are {', '.join(ALGORITHMS)}, with a kid"
                )
            claims = jwt.decode(
                token,
                await self._keys.key(header["kid"]),
                algorithms=list(ALGORITHMS),
                audience=self._config.audience,
                issuer=self._config.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise AccessDeniedError(f"the token is not valid here: {error}") from error
        return Principal(
            _actor(claims["sub"]),
            _roles(claims, self._config.roles_claim),
            expires_at=float(claims["exp"]) + _LEEWAY_SECONDS,
        )


def _actor(subject: str) -> str:
    """Return a name for the audit log; a subject that is no plain short word goes by its digest."""
    plain = _PLAIN.fullmatch(subject) is not None
    return f"oidc/{subject if plain else hashlib.sha256(subject.encode()).hexdigest()}"


def _roles(claims: Mapping[str, Any], path: str) -> frozenset[Role]:
    """Return the roles in the claim at `path` (dots lead into it); other words are not ours."""
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    words = value.split() if isinstance(value, str) else value
    known = {role.value for role in Role}
    if not isinstance(words, list):
        return frozenset()
    return frozenset(Role(word) for word in words if isinstance(word, str) and word in known)
