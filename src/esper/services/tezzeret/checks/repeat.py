"""Repeat: the same seed gives the same kernel, the same input the same result."""

from __future__ import annotations

import torch
from torch import Tensor

from esper.services.tezzeret.checks.subject import CheckFailedError, Subject


def repeats(subject: Subject) -> str:
    """Weights, outputs and gradients are the same bits when everything is done again."""
    born = subject.fresh().state_dict(), subject.fresh().state_dict()
    _same("born", *born)
    first, second = _step(subject), _step(subject)
    _same("trained", first, second)
    kernel, x = subject.stirred().eval(), subject.sample()
    with torch.no_grad():
        _same("run", {"output": kernel(x)}, {"output": kernel(x)})
    return "weights, outputs and gradients, bit for bit"


def _step(subject: Subject) -> dict[str, Tensor]:
    """One training step from the same random state; its output and gradients."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(subject.seed)
        kernel = subject.stirred()
        out = kernel(subject.sample())
        if out.requires_grad:
            (out * subject.target()).sum().backward()
    gradients = {n: p.grad for n, p in kernel.named_parameters() if p.grad is not None}
    return {"output": out.detach(), **gradients}


def _same(how: str, first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    differing = [name for name, tensor in first.items() if not torch.equal(tensor, second[name])]
    if differing:
        raise CheckFailedError(
            f"{how} twice from the same seed, the kernel differs in {', '.join(differing[:5])}"
        )
