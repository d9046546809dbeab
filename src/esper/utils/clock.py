"""SystemClock: the machine's own time, for whoever is not given another clock."""

from __future__ import annotations

import time


class SystemClock:
    """Tells the machine's time. Implements the port `Clock`."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never runs backwards."""
        return time.monotonic()
