"""Backoff: ever longer pauses while something keeps failing, none alike, so that workers spread.

Only the pauses, and not a loop around a call as `stamina` has it: whoever waits here waits for other
things as well, for the word to stop, the end of a lease, or a process.
"""

from __future__ import annotations

from random import Random

_MOST_DOUBLINGS = 30


class Backoff:
    """Pauses of `first` seconds and upwards, doubled each time, at most `most`; jittered by half.

    Args:
        first: Seconds.
        most: Seconds.
        random: Where the jitter comes from.
    """

    def __init__(self, first: float, most: float, random: Random) -> None:
        self._first, self._most, self._random = first, most, random
        self.failures = 0

    def failed(self) -> float:
        """Count a failure; return the seconds to wait now."""
        doubled = self._first * 2.0 ** min(self.failures, _MOST_DOUBLINGS)
        self.failures += 1
        return min(doubled, self._most) * self._random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """Forget the failures."""
        self.failures = 0
