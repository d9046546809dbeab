"""KasminaStateLayout: what the seeds of one layer are doing, as a structure of arrays.

The tensors live on the layer's device, so that a compiled forward pass takes alpha as an input and
a monitor reads all layers in one transfer. Control flow never reads them back: it reads the
host-side mirror (`seed.Seed`), whose writer also writes here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from esper.contracts.lifecycle import SeedLifecycleState, SeedPhase

__all__ = ["FIELDS", "KasminaStateLayout", "SeedLifecycleState", "kernel_number"]

FIELDS = (
    "lifecycle_states",
    "active_kernel_id",
    "alpha_blend",
    "health_accumulator",
    "exec_latency_us",
)
"""The tensors of a `KasminaStateLayout`, each of shape (num_seeds,)."""

_LATENCY_LIMIT = 2**16 - 1


class KasminaStateLayout:
    """One tensor of shape (num_seeds,) per field, on one device.

    They follow the layer from device to device, keep their dtypes when it is cast, and are no part
    of its `state_dict`: a checkpoint's manifest holds what they say.

    Attributes:
        lifecycle_states: uint8, the value of the seed's `SeedPhase`.
        active_kernel_id: int64, first 8 bytes of the kernel's SHA-256, big-endian; 0 for none.
        alpha_blend: float16, blending coefficient in [0, 1]. Half precision is what enters the
            forward pass: steps of alpha below 0.0005 near 1 are rounded.
        health_accumulator: float32, moving average of health in [0, 1]; NaN until measured.
        exec_latency_us: uint16, microseconds of the last measured call, at most 65535; 0 until
            measured.
    """

    def __init__(self, num_seeds: int, device: torch.device | str = "cpu") -> None:
        self.num_seeds = num_seeds
        self.lifecycle_states = torch.zeros(num_seeds, dtype=torch.uint8, device=device)
        self.active_kernel_id = torch.zeros(num_seeds, dtype=torch.int64, device=device)
        self.alpha_blend = torch.zeros(num_seeds, dtype=torch.float16, device=device)
        self.health_accumulator = torch.full((num_seeds,), torch.nan, device=device)
        self.exec_latency_us = torch.zeros(num_seeds, dtype=torch.uint16, device=device)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.alpha_blend.device

    def write(
        self,
        index: int,
        *,
        phase: SeedPhase | None = None,
        kernel_id: str | None = None,
        alpha: float | None = None,
    ) -> None:
        """Copy fields of one seed's mirror here; None leaves a field alone. Waits for no device.

        Args:
            index: Seed slot.
            phase: Where the seed is.
            kernel_id: SHA-256 of the kernel in hexadecimal, or "" for none.
            alpha: Blending coefficient in [0, 1].
        """
        if phase is not None:
            self.lifecycle_states[index] = int(phase)
        if kernel_id is not None:
            self.active_kernel_id[index] = kernel_number(kernel_id)
        if alpha is not None:
            self.alpha_blend[index] = alpha

    def record_health(self, index: int, health: float, *, momentum: float = 0.9) -> None:
        """Fold one measured health score into the moving average.

        Args:
            index: Seed slot.
            health: Score in [0, 1].
            momentum: Share of the old value that stays; the first score is taken whole.
        """
        old = self.health_accumulator[index]
        mixed = old * momentum + health * (1.0 - momentum)
        self.health_accumulator[index] = torch.where(old.isnan(), health, mixed)

    def record_latency(self, index: int, microseconds: float) -> None:
        """Note how long one call took; longer than 65535 µs is written as that."""
        self.exec_latency_us[index] = min(max(round(microseconds), 0), _LATENCY_LIMIT)

    def clear(self, index: int) -> None:
        """Return one slot to what it was at construction."""
        self.write(index, phase=SeedPhase.DORMANT, kernel_id="", alpha=0.0)
        self.health_accumulator[index] = torch.nan
        self.exec_latency_us[index] = 0

    def follow(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Move to where `fn` (as given to `nn.Module._apply`) moves a tensor.

        Only the device is taken over, never the dtype; "meta" is not followed, because there the
        values would be lost.
        """
        target = fn(torch.empty(0, dtype=torch.uint8, device=self.device)).device
        if target == self.device or target.type == "meta":
            return
        for field in FIELDS:
            setattr(self, field, getattr(self, field).to(target))

    def snapshot(self) -> dict[str, list[Any]]:
        """Return all fields as Python lists. Waits for the device: not for a training step."""
        return {field: getattr(self, field).tolist() for field in FIELDS}

    def __getstate__(self) -> dict[str, Any]:
        # `pickle` cannot write a uint16 tensor (torch 2.13); int32 holds the same values.
        return self.__dict__ | {"exec_latency_us": self.exec_latency_us.to(torch.int32)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.exec_latency_us = self.exec_latency_us.to(torch.uint16)


def kernel_number(kernel_id: str) -> int:
    """Return the first 8 bytes of a SHA-256 in hexadecimal as a signed integer; 0 for "".

    Signed, because the tensor that holds it is int64. `hash` would do no service here: it is
    salted per process.
    """
    if not kernel_id:
        return 0
    return int.from_bytes(bytes.fromhex(kernel_id[:16]), "big", signed=True)
