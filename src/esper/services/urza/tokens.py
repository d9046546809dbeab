"""Tokens: random secrets that are shown once and kept as digests, with roles and an end."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from typing import Final

from sqlalchemy import select

from esper.contracts.errors import AccessDeniedError
from esper.contracts.library import IssuedToken, Page, TokenRecord, TokenRequest
from esper.services.urza.change import Store
from esper.services.urza.library_tables import TOKENS
from esper.services.urza.rows import Rows, listed

_FORM: Final = re.compile(r"esper_(?P<id>[0-9a-f]{16})_(?P<rest>[A-Za-z0-9_-]{43})")
_FIND: Final = "SELECT secret_digest, document FROM tokens WHERE token_id = $1"


TOKEN_ROWS: Final = Rows(
    table=TOKENS,
    kind=TokenRecord,
    columns=lambda record: {"token_id": record.token_id},
    what="token",
    lister="esper urza token list",
)
"""The rows of tokens."""


class Tokens:
    """The library's own tokens."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def issue(self, actor: str, request: TokenRequest) -> IssuedToken:
        """Make a token and return it with its secret, which is not kept."""
        token_id = secrets.token_hex(8)
        secret = f"esper_{token_id}_{secrets.token_urlsafe(32)}"
        async with self._store.begin(actor, "tokens") as change:
            record = TokenRecord(
                token_id=token_id,
                name=request.name,
                roles=request.roles,
                created_at=change.at,
                expires_at=change.at + timedelta(days=request.days),
            )
            await TOKEN_ROWS.insert(change, record, secret_digest=_digest(secret))
            await change.record("token.issue", token_id, name=request.name, roles=[*request.roles])
        return IssuedToken(record=record, secret=secret)

    async def list(self, cursor: str | None = None, limit: int = 100) -> Page[TokenRecord]:
        """Return the tokens, oldest first, without their secrets."""
        order = TOKENS.c.sequence
        async with self._store.reading() as connection:
            return await listed(
                connection, select(TOKENS), TOKEN_ROWS.record, order, cursor=cursor, limit=limit
            )

    async def revoke(self, actor: str, token_id: str) -> TokenRecord:
        """Take a token back; doing so again changes nothing.

        Raises:
            LibraryNotFoundError: There is no such token.
        """
        async with self._store.begin(actor, "tokens") as change:
            record = await TOKEN_ROWS.read(change.connection, token_id)
            if record.revoked:
                return record
            record = record.model_copy(update={"revoked": True})
            await TOKEN_ROWS.update(change, record)
            await change.record("token.revoke", token_id)
            return record

    async def authenticate(self, secret: str) -> TokenRecord:
        """Return the record of the token that `secret` is.

        Raises:
            AccessDeniedError: It is none, was revoked, or has expired.
        """
        form = _FORM.fullmatch(secret)
        row = None if form is None else await self._store.database.point(_FIND, form["id"])
        # Compared in any case, so that the time taken does not tell whether the id is known.
        right = hmac.compare_digest(_digest(secret), row[0] if row else "0" * 64)
        if row is None or not right:
            raise AccessDeniedError("this token is not known here; ask for one with `esper urza`")
        record = TokenRecord.model_validate_json(row[1])
        if record.revoked:
            raise AccessDeniedError(f"the token {record.token_id} was revoked; ask for a new one")
        if record.expires_at.timestamp() <= self._store.now:
            raise AccessDeniedError(f"the token {record.token_id} has expired; ask for a new one")
        return record


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
