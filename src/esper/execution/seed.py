"""Seed: the host-side mirror of one slot, and Branch: what the forward pass needs of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from esper.contracts.enums import KernelMode
from esper.contracts.lifecycle import SeedPhase

if TYPE_CHECKING:
    from torch import Tensor, nn

    from esper.blueprints.ir import GraphIR


@dataclass(slots=True)
class Seed:
    """What one slot of a layer holds. Read it freely; only the layer's methods write it."""

    index: int
    """Slot, from 0."""
    phase: SeedPhase = SeedPhase.DORMANT
    alpha: float = 0.0
    """Blending coefficient in [0, 1]."""
    kernel: nn.Module | None = None
    """The kernel, also registered as submodule `esper_kernels.<index>`. None while there is none,
    and for a fossil that was folded into the host's weights."""
    mode: KernelMode = KernelMode.REPLACING
    ir: GraphIR | None = None
    kernel_id: str | None = None
    """SHA-256 of the kernel file in hexadecimal; None for a kernel that was never a file."""
    label: str = ""
    strikes: int = 0
    embargo_until: int = 0
    """Step before which the slot is not to be used again. The layer knows no steps: it keeps the
    number for whoever decides."""
    frozen: bool = False
    """Whether the kernel's parameters are kept from training further."""


class Branch(NamedTuple):
    """One kernel in the forward pass. A compiled graph is specialised on everything but alpha."""

    slot: int
    key: str
    """Name in `esper_kernels`; the kernel is looked up there so that replicas find their own."""
    mode: KernelMode
    full: bool
    """Replacing at alpha 1: whatever comes before it is not computed."""
    kernel: nn.Module | None = None
    """Only for a substitute, which is registered nowhere."""
    alpha: Tensor | None = None
    """Only for a substitute."""
