"""Limits: requests a second, bytes of a body, silence in the middle of one."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.types import Message

from esper.services.urza.request_limits import RateLimiter, check_announced, limited, too_many
from support.clocks import StillClock


def test_a_burst_passes_and_the_next_one_waits() -> None:
    limiter = RateLimiter(2.0, 3, StillClock())
    assert [limiter.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_a_bucket_fills_with_time() -> None:
    clock = StillClock()
    limiter = RateLimiter(2.0, 1, clock)
    assert limiter.take("a") == 0.0
    clock.advance(0.25)
    assert limiter.take("a") == pytest.approx(0.25)
    clock.advance(0.25)
    assert limiter.take("a") == 0.0


def test_callers_do_not_share_a_bucket() -> None:
    limiter = RateLimiter(1.0, 1, StillClock())
    assert limiter.take("a") == 0.0
    assert limiter.take("b") == 0.0
    assert limiter.take("a") > 0.0


def test_a_rate_of_zero_limits_nobody() -> None:
    limiter = RateLimiter(0.0, 1, StillClock())
    assert [limiter.take("a") for _ in range(100)] == [0.0] * 100


def test_buckets_of_the_silent_are_dropped() -> None:
    limiter = RateLimiter(1.0, 1, StillClock(), most_callers=2)
    for caller in ("a", "b", "a", "c"):
        limiter.take(caller)
    # "b" was silent for longest and begins anew; "a" was not.
    assert limiter.take("a") > 0.0
    assert limiter.take("b") == 0.0


@given(
    st.lists(st.floats(0, 5), max_size=60),
    st.floats(0.1, 50),
    st.integers(1, 20),
)
def test_nobody_gets_more_than_the_burst_and_the_rate(
    pauses: list[float], rate: float, burst: int
) -> None:
    clock = StillClock()
    limiter = RateLimiter(rate, burst, clock)
    passed = 0
    for pause in pauses:
        clock.advance(pause)
        passed += limiter.take("a") == 0.0
    assert passed <= burst + rate * sum(pauses) + 1e-6


def test_the_refusal_says_when_to_come_back() -> None:
    refusal = too_many(1.2)
    assert refusal.status_code == 429
    assert refusal.headers == {"Retry-After": "2"}


def test_a_body_is_refused_by_its_announced_size() -> None:
    check_announced(None, 10)
    check_announced("10", 10)
    with pytest.raises(HTTPException) as refused:
        check_announced("11", 10)
    assert refused.value.status_code == 413


async def _drained(parts: list[bytes], *, limit: int, patience: float = 5.0) -> bytes:
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
        for number, part in enumerate(parts)
    ]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    counted = limited(receive, limit=limit, patience=patience)
    whole = b""
    for _ in parts:
        whole += (await counted())["body"]
    return whole


@pytest.mark.asyncio
async def test_a_body_within_the_limit_passes_unchanged() -> None:
    assert await _drained([b"abc", b"", b"def"], limit=6) == b"abcdef"


@pytest.mark.asyncio
async def test_a_body_that_lies_about_its_size_is_cut_off() -> None:
    with pytest.raises(HTTPException) as refused:
        await _drained([b"abc", b"def", b"g"], limit=6)
    assert refused.value.status_code == 413


@pytest.mark.asyncio
async def test_a_sender_who_falls_silent_is_not_waited_for() -> None:
    async def silent() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(HTTPException) as refused:
        await limited(silent, limit=10, patience=0.01)()
    assert refused.value.status_code == 408
