"""Limits on what one caller can cost: requests per second, bytes per body, seconds of silence."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from esper.contracts.ports import Clock

MOST_CALLERS: Final = 10_000
"""Callers that are remembered; whoever was silent for longest is forgotten first."""


class RateLimiter:
    """A token bucket for each caller: `burst` requests at once, `rate` a second over time."""

    def __init__(
        self, rate: float, burst: int, clock: Clock, *, most_callers: int = MOST_CALLERS
    ) -> None:
        """Fill every bucket.

        Args:
            rate: Requests a second; 0 means no limit.
            burst: Requests that a bucket holds; at least 1.
            clock: Tells the time.
            most_callers: Buckets that are kept.
        """
        self._rate = rate
        self._burst = float(max(burst, 1))
        self._clock = clock
        self._most = most_callers
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Take one request out of the caller's bucket.

        Returns:
            Seconds until the next request would be let through; 0 if this one is.
        """
        if self._rate <= 0:
            return 0.0
        now = self._clock.monotonic()
        left, at = self._buckets.get(caller, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        allowed = left >= 1.0
        self._buckets[caller] = (left - 1.0 if allowed else left, now)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._rate


def too_many(wait: float) -> HTTPException:
    """Return the refusal of a request that came `wait` seconds too early."""
    seconds = max(math.ceil(wait), 1)
    return HTTPException(
        429, f"too many requests; try again in {seconds} s", {"Retry-After": str(seconds)}
    )


def too_large(limit: int) -> HTTPException:
    """Return the refusal of a body that is larger than `limit` bytes."""
    return HTTPException(413, f"the body is larger than {limit} bytes, the most that is taken here")


def check_announced(content_length: str | None, limit: int) -> None:
    """Refuse a body by its announced size, before any of it is read.

    Raises:
        HTTPException: 413.
    """
    if content_length is not None and content_length.isdigit() and int(content_length) > limit:
        raise too_large(limit)


def limited(receive: Receive, *, limit: int, patience: float) -> Receive:
    """Return a `receive` that counts the body's bytes and does not wait for ever.

    Args:
        receive: The server's.
        limit: Most bytes of a body.
        patience: Seconds for which a sender may be silent in the middle of a body.

    Raises:
        HTTPException: From the returned function: 413 for too many bytes, 408 for too long a wait.
    """
    total = 0
    complete = False

    async def counted() -> Message:
        nonlocal total, complete
        if complete:
            # Nothing but the end of the connection can follow: that may take its time.
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), patience)
        except TimeoutError:
            raise HTTPException(408, f"the rest of the body did not come in {patience} s") from None
        total += len(message.get("body", b""))
        if total > limit:
            raise too_large(limit)
        complete = not message.get("more_body", False)
        return message

    return counted
