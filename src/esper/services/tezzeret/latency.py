"""Latency: how long a kernel's forward pass takes on a target, eager or compiled."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from esper.contracts.library import Latency, Target
from esper.execution.artifact import FLOAT_DTYPES
from esper.execution.kernel_compile import compile_kernel
from esper.services.tezzeret.checks.subject import CheckFailedError, Subject

CALLS: Final = 50
"""Calls that are timed at most."""

_LEAST_CALLS: Final = 5
_WARM_UP: Final = 3
_SECONDS: Final = 1.0
"""Time after which no further call is timed."""


def available(target: Target) -> bool:
    """Whether this machine has the target's device."""
    kind = torch.device(target.device).type
    return kind == "cpu" or (kind == "cuda" and torch.cuda.is_available())


def latency(
    subject: Subject, target: Target, *, clock: Callable[[], int] = time.perf_counter_ns
) -> Latency:
    """Time the forward pass of a kernel in evaluation mode, as a model would run it.

    Args:
        subject: The blueprint under proof.
        target: Where and how; its device must be there.
        clock: Nanoseconds, monotonic.

    Returns:
        Median and worst of up to `CALLS` calls, after a warm-up.

    Raises:
        CheckFailedError: The target's dtype is none that a kernel can have.
    """
    kernel, x = placed(subject, target)
    kernel.eval()
    if target.compiled:
        compile_kernel(kernel)
    with torch.no_grad():
        for _ in range(_WARM_UP):
            kernel(x)
        taken = _timed(kernel, x, clock)
    return Latency(
        target=target,
        median_us=statistics.median(taken) / 1000,
        worst_us=max(taken) / 1000,
        calls=len(taken),
    )


def placed(subject: Subject, target: Target) -> tuple[nn.Module, Tensor]:
    """Return a stirred kernel and an input, on the target's device and in its dtype.

    Raises:
        CheckFailedError: The dtype is none that a kernel can have.
    """
    dtype = FLOAT_DTYPES.get(target.dtype)
    if dtype is None:
        raise CheckFailedError(
            f"no kernel is measured in {target.dtype!r}; choose one of {', '.join(FLOAT_DTYPES)}"
        )
    x = subject.sample(target.batch_size).to(target.device)
    x = x.to(dtype) if x.is_floating_point() else x
    return subject.stirred().to(target.device, dtype), x


def _timed(kernel: nn.Module, x: Tensor, clock: Callable[[], int]) -> list[int]:
    waits = x.device.type == "cuda"
    taken: list[int] = []
    while len(taken) < CALLS and (sum(taken) < _SECONDS * 1e9 or len(taken) < _LEAST_CALLS):
        started = clock()
        kernel(x)
        if waits:
            torch.cuda.synchronize(x.device)
        taken.append(clock() - started)
    return taken
