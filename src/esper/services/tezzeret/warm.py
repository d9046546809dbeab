"""Warm: compile a kernel for every way in which a trainer will call it, into the shared cache."""

from __future__ import annotations

import time
from typing import Final

import torch
from torch import Tensor, nn

from esper.contracts.library import Target
from esper.execution.kernel_compile import compile_kernel
from esper.services.tezzeret.checks.subject import CheckFailedError, Subject
from esper.services.tezzeret.latency import placed

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
        kernel.train()
        kernel.zero_grad()
        given = x.detach().clone().requires_grad_(needs_gradient)
        out = kernel(given)
        if out.requires_grad:
            out.float().square().mean().backward()
        gradients = {name: p.grad for name, p in kernel.named_parameters()}
        found.append({"output": out.detach(), "x": given.grad, **gradients})
    if subject.draws:
        return 0.0  # a compiled graph draws other numbers
    fast, slow = found
    return max(
        (_off(name, fast[name], value) for name, value in slow.items() if value is not None),
        default=0.0,
    )


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
