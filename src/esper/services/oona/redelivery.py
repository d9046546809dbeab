"""Which messages may be delivered again together, and which come by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_TOGETHER: Final = 2
"""Deliveries in company that a message is given."""


def together(tries: Iterable[int]) -> int:
    """Return how many of the first messages may come in one delivery.

    A message that has been delivered before and was never acknowledged may be what kills its
    consumers. After two deliveries it comes by itself, so that only its own count grows until it
    is given up, and not that of the messages around it.

    Args:
        tries: How often each was delivered so far, in order.
    """
    number = 0
    for count in tries:
        if count >= _TOGETHER:
            return max(number, 1)
        number += 1
    return number
