"""Gradients: no parameter is born dead."""

from __future__ import annotations

from typing import Final

import torch

from esper.services.tezzeret.checks.subject import CheckFailedError, Subject

STEPS: Final = 2
"""One step moves the zeros of a residual kernel; in the next every parameter must be reached."""

_RATE: Final = 0.1


def alive(subject: Subject) -> str:
    """Every parameter has a gradient that is not zero within two steps."""
    kernel, x, target = subject.fresh(), subject.sample(), subject.target()
    dead = {name for name, _ in kernel.named_parameters()}
    total = len(dead)
    for _ in range(STEPS if dead else 0):
        kernel.zero_grad()
        (kernel(x) - target).square().mean().backward()
        with torch.no_grad():
            for name, parameter in kernel.named_parameters():
                if parameter.grad is not None and parameter.grad.ne(0).any():
                    dead.discard(name)
                    parameter.sub_(_RATE * parameter.grad)
    if dead:
        raise CheckFailedError(
            f"{len(dead)} of {total} parameters never had a gradient in {STEPS} steps: "
            f"{', '.join(sorted(dead)[:5])}"
        )
    return f"all {total} parameters within {STEPS} steps"
