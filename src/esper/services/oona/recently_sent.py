"""What was published in the last seconds, in case the server forgets it.

With `appendfsync everysec` a server writes its append-only file before it answers, unless the disk is
still busy with the second before: then it answers first, and writes up to two seconds later. Killed
in between, it has lost what it had acknowledged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from esper.contracts.enums import TopicNames
from esper.contracts.ports import Clock

_SECONDS: Final = 4.0
"""Two seconds for which the server may put off writing, and time for it to be noticed."""

_MOST_BYTES: Final = 64 * 2**20
"""A batch that is larger by itself is not kept."""

Batch = Mapping[TopicNames, Sequence[bytes]]
"""Entries by topic, in order."""


class RecentlySent:
    """Keeps batches for some seconds, within a bound on their size.

    Args:
        clock: Tells how old they are.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._batches: deque[tuple[float, int, Batch]] = deque()
        self._bytes = 0

    def add(self, batch: Batch) -> None:
        """Keep a batch that was just published."""
        size = sum(len(entry) for entries in batch.values() for entry in entries)
        self._batches.append((self._clock.monotonic(), size, batch))
        self._bytes += size
        self._forget()

    def all(self) -> Sequence[Batch]:
        """Return what was published in the seconds up to the last publication, in order.

        However long ago that is: a server may take its time to come back.
        """
        return [batch for _, _, batch in self._batches]

    def renew(self) -> None:
        """Say that all of it was published again just now."""
        now = self._clock.monotonic()
        self._batches = deque((now, size, batch) for _, size, batch in self._batches)

    def _forget(self) -> None:
        before = self._clock.monotonic() - _SECONDS
        while self._batches and (self._batches[0][0] < before or self._bytes > _MOST_BYTES):
            self._bytes -= self._batches.popleft()[1]
