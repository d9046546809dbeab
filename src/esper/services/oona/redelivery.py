"""Which messages may be delivered again together, and which come by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_ALONE: Final = 2
"""Tries that a message is given by itself before it is given up."""


def together(tries: Iterable[int], max_tries: int) -> int:
    """Return how many of the first messages may come in one delivery.

    A message that has been delivered before and was never acknowledged may be what kills its
    consumers. The last two times it comes by itself, so that only its own count grows until it is
    given up, and not that of the messages around it. Not sooner: messages that come one by one
    take hundreds of times as long, and on a network that keeps breaking all have come before.

    Args:
        tries: How often each was delivered so far, in order.
        max_tries: How often a message is delivered before it is given up.
    """
    in_company = max(1, max_tries - _ALONE)
    number = 0
    for count in tries:
        if count >= in_company:
            return max(number, 1)
        number += 1
    return number
