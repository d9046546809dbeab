"""Who a request comes from: checks its bearer token, and remembers the answer for a moment.

A token is looked up by its digest; what is remembered ends with the token, after
`REMEMBER_SECONDS`, or at once when it is revoked through this server.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

from esper.contracts.errors import AccessDeniedError
from esper.contracts.library import TokenRecord
from esper.contracts.ports import Clock
from esper.services.urza.access import Principal

REMEMBER_SECONDS: Final = 2.0
"""How long a token that another process revoked may still be obeyed."""
_MOST_REMEMBERED: Final = 4096
_LONGEST_TOKEN: Final = 8192
TOKEN_PREFIX: Final = "esper_"  # noqa: S105 how every token begins, not a token
"""What the library's own tokens begin with; any other is taken for a JSON Web Token."""


class TokenCheck(Protocol):
    """Knows the library's own tokens."""

    async def authenticate(self, secret: str) -> TokenRecord:
        """Return the token's record.

        Raises:
            AccessDeniedError: Unknown, expired or revoked.
        """


class IdentityCheck(Protocol):
    """Knows the tokens of an identity provider."""

    async def verify(self, token: str) -> Identity:
        """Return who the token speaks for.

        Raises:
            AccessDeniedError: The token is not valid here.
            LibraryUnavailableError: The provider's keys cannot be had.
        """


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody, until a moment."""

    principal: Principal
    """Who, with which roles."""
    token_id: str
    """Which of the library's tokens; empty for a token of an identity provider."""
    expires_at: float
    """End of the token, seconds since the epoch."""


class Authenticator:
    """Turns an `Authorization` header into a principal."""

    def __init__(
        self, tokens: TokenCheck, clock: Clock, identities: IdentityCheck | None = None
    ) -> None:
        """Start with nothing remembered.

        Args:
            tokens: Knows the library's tokens.
            clock: Tells the time.
            identities: Knows an identity provider's tokens; None if there is none.
        """
        self._tokens = tokens
        self._identities = identities
        self._clock = clock
        self._remembered: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()
        self._revocations = 0

    async def principal(self, authorization: str) -> Principal:
        """Return who sends this `Authorization` header.

        Raises:
            AccessDeniedError: It holds no bearer token, or one that is not valid.
            LibraryUnavailableError: It could not be checked.
        """
        secret = _bearer(authorization)
        key = hashlib.sha256(secret.encode()).digest()
        known = self._remembered.get(key)
        if known is not None:
            identity, until = known
            if self._clock.monotonic() < until and self._clock.now() < identity.expires_at:
                return identity.principal
            del self._remembered[key]
        before = self._revocations
        identity = await self._check(secret)
        if before == self._revocations:
            self._remember(key, identity)
        return identity.principal

    def forget(self, token_id: str) -> None:
        """Forget a token that was revoked; what is being checked now is not remembered either."""
        self._revocations += 1
        stale = [k for k, (who, _) in self._remembered.items() if who.token_id == token_id]
        for key in stale:
            del self._remembered[key]

    async def _check(self, secret: str) -> Identity:
        if self._identities is not None and not secret.startswith(TOKEN_PREFIX):
            return await self._identities.verify(secret)
        record = await self._tokens.authenticate(secret)
        actor = f"{record.name}/{record.token_id}"
        return Identity(
            Principal(actor, frozenset(record.roles)),
            record.token_id,
            record.expires_at.timestamp(),
        )

    def _remember(self, key: bytes, identity: Identity) -> None:
        self._remembered[key] = (identity, self._clock.monotonic() + REMEMBER_SECONDS)
        if len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)


def _bearer(authorization: str) -> str:
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret:
        raise AccessDeniedError(
            "the Authorization header has no bearer token; send 'Authorization: Bearer <token>'"
        )
    if len(secret) > _LONGEST_TOKEN or not secret.isascii():
        raise AccessDeniedError("the bearer token is too long, or holds other than ASCII")
    return secret
