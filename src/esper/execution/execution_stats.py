"""What the kernel executor is told, and what it tells: limits, failures, counts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from esper.contracts.errors import ConfigError


class FailureKind(StrEnum):
    """Why a call was bypassed."""

    RAISED = "raised"
    NOT_A_TENSOR = "not_a_tensor"
    WRONG_SHAPE = "wrong_shape"
    WRONG_DTYPE = "wrong_dtype"
    NON_FINITE = "non_finite"
    ON_DEVICE = "on_device"
    """Found by the device: a non-finite value, or a shape that a compiled graph had wrong."""


@dataclass(frozen=True, kw_only=True)
class ExecutorConfig:
    """How strictly kernels are watched."""

    strikes: int = 3
    """Bypassed calls within the window that isolate a seed; at least 1."""

    window_steps: int = 1000
    """Length of the sliding window in steps (calls of `poll`); at least 1."""

    finite_check_every: int = 1
    """Check every n-th call's values; 0 never. Calls not checked are counted as `unchecked`.
    A compiled graph checks every call, or with 0 none."""

    def __post_init__(self) -> None:
        for name, least in (("strikes", 1), ("window_steps", 1), ("finite_check_every", 0)):
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"ExecutorConfig.{name} is {value}; it must be at least {least}")


@dataclass(frozen=True, kw_only=True)
class KernelFailure:
    """One report about a bypassed call, or several calls when the device did the counting."""

    seed_index: int
    kind: FailureKind
    message: str
    step: int
    """Step (count of `poll` calls) that the failure is booked on."""
    count: int
    """Calls that this report stands for; 1 unless `kind` is ON_DEVICE."""
    strikes: int
    """Strikes within the window, this failure included."""
    isolated: bool
    """True when this failure isolated the seed."""


@dataclass(slots=True)
class ExecutionStats:
    """Running counts of one seed, or the sum over several.

    Calls of compiled graphs are counted only when they fail: counting each would cost every call.
    """

    calls: int = 0
    bypassed: int = 0
    skipped: int = 0
    """Calls not made because the seed is isolated."""
    unchecked: int = 0
    """Calls whose values were not checked for being finite."""
    isolations: int = 0
    seconds: float = 0.0
    """Time in kernels, failures included; on an accelerator only the time to launch them."""
    last_seconds: float = 0.0
