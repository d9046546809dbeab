"""Who a request comes from: checks its bearer token, and remembers the answer for a moment.

A token is looked up by its digest; what is remembered ends with the token, after
`REMEMBER_SECONDS`, or at once when it is revoked through this server.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

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


class Authenticator:
    """Turns an `Authorization` header into a principal.

    Args:
        tokens: Returns the record of one of the library's own tokens, or refuses it.
        clock: Tells the time.
        identities: Returns for whom an identity provider's token speaks, or refuses it; None if
            there is no provider.
    """

    def __init__(
        self,
        tokens: Callable[[str], Awaitable[TokenRecord]],
        clock: Clock,
        identities: Callable[[str], Awaitable[Principal]] | None = None,
    ) -> None:
        self._tokens = tokens
        self._identities = identities
        self._clock = clock
        self._remembered: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()
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
            principal, until = known
            if self._clock.monotonic() < until and self._clock.now() < principal.expires_at:
                return principal
            del self._remembered[key]
        before = self._revocations
        principal = await self._check(secret)
        if before == self._revocations:
            self._remembered[key] = (principal, self._clock.monotonic() + REMEMBER_SECONDS)
            if len(self._remembered) > _MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return principal

    def forget(self, token_id: str) -> None:
        """Forget a token that was revoked; what is being checked now is not remembered either."""
        self._revocations += 1
        stale = [k for k, (who, _) in self._remembered.items() if who.token_id == token_id]
        for key in stale:
            del self._remembered[key]

    async def _check(self, secret: str) -> Principal:
        if self._identities is not None and not secret.startswith(TOKEN_PREFIX):
            return await self._identities(secret)
        record = await self._tokens(secret)
        return Principal(
            f"{record.name}/{record.token_id}",
            frozenset(record.roles),
            record.token_id,
            record.expires_at.timestamp(),
        )


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
