"""Absences: kernels that were asked for and not found, remembered for a while."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from esper.contracts.errors import ConfigError
from esper.contracts.ports import Clock

MOST: Final = 4096
"""How many are remembered; the oldest leaves first."""


class Absences:
    """Ids that a source did not have lately. Not for several threads at once.

    Args:
        seconds: How long an absence counts; 0 remembers nothing.
        clock: Tells the time.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        if not seconds >= 0:
            raise ConfigError(f"negative_seconds is {seconds}; give 0 (off) or more")
        self.seconds = seconds
        self._clock = clock
        self._noted: OrderedDict[str, float] = OrderedDict()

    def note(self, kernel_id: str) -> None:
        """Remember that there is no such kernel now."""
        if self.seconds:
            self._noted[kernel_id] = self._clock.monotonic()
            self._noted.move_to_end(kernel_id)
            if len(self._noted) > MOST:
                self._noted.popitem(last=False)

    def age(self, kernel_id: str) -> float | None:
        """Seconds since the kernel was found to be absent; None if that is not known any more."""
        noted = self._noted.get(kernel_id)
        if noted is None:
            return None
        age = self._clock.monotonic() - noted
        if age < self.seconds:
            return age
        del self._noted[kernel_id]
        return None

    def forget(self, kernel_id: str) -> None:
        """Forget one kernel's absence."""
        self._noted.pop(kernel_id, None)

    def clear(self) -> None:
        """Forget all."""
        self._noted.clear()
