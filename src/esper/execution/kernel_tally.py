"""Counters that live on the device and are read without waiting for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class KernelTally:
    """One failure counter per seed, kept on every device the layer has run on.

    `add` is a device operation and can be traced. `read` starts a copy to the host and gives what
    the *previous* copy brought, so the host never waits; with `wait=True` it gives everything.
    """

    def __init__(self, num_seeds: int, device: torch.device) -> None:
        self._num_seeds = num_seeds
        self._counts: dict[torch.device, Tensor] = {}
        self._seen: dict[torch.device, list[int]] = {}
        self._arriving: dict[torch.device, tuple[Tensor, torch.Event]] = {}
        self.to(device)

    def __getstate__(self) -> dict[str, Any]:
        # A copy in flight belongs to this process; whoever unpickles starts the next one.
        return {**self.__dict__, "_arriving": {}}

    def to(self, device: torch.device) -> None:
        """Make room on `device`; counts on other devices stay until they are read."""
        if device not in self._counts:
            # Else the first forward under inference_mode would make them unwritable later.
            with torch.inference_mode(False):
                self._counts[device] = torch.zeros(
                    self._num_seeds, dtype=torch.int64, device=device
                )
            self._seen[device] = [0] * self._num_seeds

    def add(self, index: int, failed: Tensor) -> None:
        """Add a scalar tensor (bool or integer) to one seed's counter, on its device."""
        if failed.device not in self._counts:
            self.to(failed.device)
        self._counts[failed.device][index].add_(failed)

    def forget(self, index: int) -> None:
        """Drop what was counted for one seed (its kernel is gone). Waits for the device."""
        for device, counts in self._counts.items():
            self._seen[device][index] = int(counts[index].item())

    def read(self, *, wait: bool) -> dict[int, int]:
        """New failures by seed since they were last read."""
        found: dict[int, int] = {}
        for device, counts in self._counts.items():
            if device.type == "meta":
                continue
            values = counts.tolist() if wait or device.type == "cpu" else self._arrived(device)
            if values is None:
                continue
            seen = self._seen[device]
            for index, value in enumerate(values):
                if value > seen[index]:
                    found[index] = found.get(index, 0) + value - seen[index]
                    seen[index] = value
        return found

    def _arrived(self, device: torch.device) -> list[int] | None:
        """The last copy's values if it has arrived, and start another."""
        values: list[int] | None = None
        if device in self._arriving:
            copy, event = self._arriving[device]
            if not event.query():
                return None
            values = copy.tolist()
        else:
            copy, event = torch.empty(self._num_seeds, dtype=torch.int64), torch.Event(device)
            copy = copy.pin_memory()
        copy.copy_(self._counts[device], non_blocking=True)
        event.record()
        self._arriving[device] = (copy, event)
        return values
