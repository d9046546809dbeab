"""Authentication: what is remembered of a token, and for how long."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from esper.contracts.enums import Role
from esper.contracts.errors import AccessDeniedError
from esper.contracts.library import TokenRecord
from esper.services.urza.access import Principal
from esper.services.urza.authentication import REMEMBER_SECONDS, Authenticator
from support.clocks import StillClock

SECRET = "esper_0123456789abcdef_secret"
HEADER = f"Bearer {SECRET}"


class FakeTokens:
    """Knows one token, counts how often it is asked, and can be held up."""

    def __init__(self, clock: StillClock, *, seconds: float = 1000.0) -> None:
        self.asked = 0
        self.revoked = False
        self.gate = asyncio.Event()
        self.gate.set()
        self._expires = clock.now() + seconds

    async def authenticate(self, secret: str) -> TokenRecord:
        self.asked += 1
        answer = not self.revoked and secret == SECRET
        await self.gate.wait()
        if not answer:
            raise AccessDeniedError("no such token")
        return TokenRecord(
            token_id="0123456789abcdef",
            name="trainer-1",
            roles=(Role.TRAINER,),
            created_at=datetime.now(tz=UTC),
            expires_at=datetime.fromtimestamp(self._expires, tz=UTC),
        )


class FakeIdentities:
    async def verify(self, token: str) -> Principal:
        return Principal("oidc/ada", frozenset({Role.READER}), expires_at=2e9)


@pytest.mark.asyncio
async def test_a_token_is_looked_up_once_and_then_remembered_for_a_moment() -> None:
    clock = StillClock()
    tokens = FakeTokens(clock)
    authenticator = Authenticator(tokens.authenticate, clock)
    for _ in range(3):
        principal = await authenticator.principal(HEADER)
        assert principal.actor == "trainer-1/0123456789abcdef"
        assert principal.roles == {Role.TRAINER}
    assert tokens.asked == 1
    clock.advance(REMEMBER_SECONDS)
    await authenticator.principal(HEADER)
    assert tokens.asked == 2


@pytest.mark.asyncio
async def test_a_token_that_expires_while_it_is_remembered_is_looked_up_again() -> None:
    clock = StillClock()
    tokens = FakeTokens(clock, seconds=REMEMBER_SECONDS / 2)
    authenticator = Authenticator(tokens.authenticate, clock)
    await authenticator.principal(HEADER)
    clock.advance(REMEMBER_SECONDS / 2)
    await authenticator.principal(HEADER)
    assert tokens.asked == 2


@pytest.mark.asyncio
async def test_a_revoked_token_is_refused_at_once() -> None:
    clock = StillClock()
    tokens = FakeTokens(clock)
    authenticator = Authenticator(tokens.authenticate, clock)
    await authenticator.principal(HEADER)
    tokens.revoked = True
    authenticator.forget("0123456789abcdef")
    with pytest.raises(AccessDeniedError):
        await authenticator.principal(HEADER)


@pytest.mark.asyncio
async def test_a_check_that_a_revocation_overtakes_is_not_remembered() -> None:
    clock = StillClock()
    tokens = FakeTokens(clock)
    authenticator = Authenticator(tokens.authenticate, clock)
    tokens.gate.clear()
    under_way = asyncio.create_task(authenticator.principal(HEADER))
    await asyncio.sleep(0)
    tokens.revoked = True
    authenticator.forget("0123456789abcdef")
    tokens.gate.set()
    await under_way
    with pytest.raises(AccessDeniedError):
        await authenticator.principal(HEADER)


@pytest.mark.asyncio
async def test_a_refusal_is_not_remembered() -> None:
    clock = StillClock()
    tokens = FakeTokens(clock)
    authenticator = Authenticator(tokens.authenticate, clock)
    tokens.revoked = True
    for _ in range(2):
        with pytest.raises(AccessDeniedError):
            await authenticator.principal(HEADER)
    assert tokens.asked == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic abc", SECRET, f"Bearer {'x' * 9000}", "Bearer ü"]
)
async def test_what_is_no_bearer_token_is_refused_and_not_repeated(header: str) -> None:
    clock = StillClock()
    tokens = FakeTokens(clock)
    with pytest.raises(AccessDeniedError) as refused:
        await Authenticator(tokens.authenticate, clock).principal(header)
    assert tokens.asked == 0
    assert SECRET not in str(refused.value)


@pytest.mark.asyncio
async def test_other_tokens_go_to_the_identity_provider_if_there_is_one() -> None:
    clock = StillClock()
    tokens = FakeTokens(clock)
    with_provider = Authenticator(tokens.authenticate, clock, FakeIdentities().verify)
    assert (await with_provider.principal("bearer a.b.c")).actor == "oidc/ada"
    assert tokens.asked == 0
    assert (await with_provider.principal(HEADER)).actor.startswith("trainer-1")
    with pytest.raises(AccessDeniedError):
        await Authenticator(tokens.authenticate, clock).principal("bearer a.b.c")


@pytest.mark.asyncio
async def test_secrets_are_not_kept() -> None:
    clock = StillClock()
    authenticator = Authenticator(FakeTokens(clock).authenticate, clock)
    await authenticator.principal(HEADER)
    assert SECRET not in repr(vars(authenticator))
