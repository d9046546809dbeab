"""Latency: how long a kernel's forward pass takes on a target, eager or compiled.

A compiled target is first compiled in every way in which a trainer will call it (`warm`), into the
cache that trainers share.
"""

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
from esper.services.tezzeret.proof_subject import CheckFailedError, Subject, trained

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


TOLERANCE: Final = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 5e-2}
"""How far compiled results may be off, as a share of the largest value."""


def warm(subject: Subject, target: Target) -> str:
    """Compile forward and backward, and check that the results are those of the plain kernel.

    Three graphs: training behind other layers, training at the model's input (which needs no
    gradient), evaluation. What torch makes of them stays in the folder that
    `share_compile_cache` named.

    Returns:
        What was found, and how long it took.

    Raises:
        CheckFailedError: A compiled result is another one.
        RuntimeError: The kernel does not compile.
    """
    started = time.monotonic()
    plain, x = placed(subject, target)
    compiled = compile_kernel(placed(subject, target)[0])
    worst = 0.0
    for needs_gradient in (True, False) if x.is_floating_point() else (False,):
        worst = max(worst, _train_alike(subject, plain, compiled, x, needs_gradient))
    plain.eval(), compiled.eval()
    with torch.no_grad():
        worst = max(worst, _off("output", compiled(x), plain(x)))
    took = time.monotonic() - started
    return f"in {took:.1f} s, results off by at most {worst:.1g} of the largest"


def _train_alike(
    subject: Subject, plain: nn.Module, compiled: nn.Module, x: Tensor, needs_gradient: bool
) -> float:
    """One training step of both; how far the compiled one is off."""
    found = []
    for kernel in (compiled, plain):
        given = x.detach().clone().requires_grad_(needs_gradient)
        found.append(trained(kernel.train(), given, lambda out: out.float().square().mean()))
    if subject.draws:
        return 0.0  # a compiled graph draws other numbers
    fast, slow = found
    return max(_off(name, fast.get(name), value) for name, value in slow.items())


def _off(name: str, found: Tensor | None, wanted: Tensor) -> float:
    """Greatest difference as a share of the largest wanted value."""
    if found is None:
        raise CheckFailedError(f"compiled, the kernel has no gradient for {name!r}")
    largest = max(float(wanted.abs().max()), 1e-6) if wanted.numel() else 1.0
    off = float((found - wanted).abs().max()) / largest if wanted.numel() else 0.0
    if not off <= TOLERANCE[wanted.dtype]:
        raise CheckFailedError(
            f"compiled, the kernel's {name!r} is off by {off:.3g} of the largest value"
        )
    return off
