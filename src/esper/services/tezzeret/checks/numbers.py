"""Numbers: results and gradients stay finite over a wide range of inputs."""

from __future__ import annotations

from typing import Final

import torch

from esper.execution.kernel_check import is_finite
from esper.services.tezzeret.checks.subject import CheckFailedError, Subject

SCALES: Final = (1e-3, 1.0, 1e3)
"""Standard deviations of the inputs that are tried; ids have none."""


def finite(subject: Subject) -> str:
    """Outputs and all gradients are finite at every scale, and for an input of zeros."""
    scales = (*SCALES, 0.0) if subject.ir.input_spec.is_float else (1.0,)
    for scale in scales:
        _finite_at(subject, scale)
    return f"input scales {', '.join(f'{scale:g}' for scale in scales)}"


def _finite_at(subject: Subject, scale: float) -> None:
    # Stirred: a residual kernel's zero weights would hide what the layers before them return.
    kernel, x = subject.stirred(), subject.sample(scale=scale)
    if x.is_floating_point():
        x.requires_grad_()
    out = kernel(x)
    if not is_finite(out):
        raise CheckFailedError(f"the output is not finite for inputs of scale {scale:g}")
    if not out.requires_grad:
        return
    # Linear in the output: what overflows is then the kernel's doing, not a squared loss's.
    (out * subject.target()).sum().backward()
    found = {name: parameter.grad for name, parameter in kernel.named_parameters()}
    found["x"] = x.grad
    for name, gradient in found.items():
        if gradient is not None and not bool(torch.isfinite(gradient).all()):
            raise CheckFailedError(
                f"the gradient of {name!r} is not finite for inputs of scale {scale:g}"
            )
