"""Run a kernel so that the device alone decides whether its result is used.

On an accelerator, and inside a compiled graph, Python cannot branch on a value without waiting
for it. So the verdict "the result is finite" stays a tensor, and `select_finite` is built such
that a bad call leaves no trace:

* forward: ``torch.where(finite, kernel(x), fallback)``;
* backward: ``where`` alone is not enough, since the zero gradient it sends into the kernel meets
  the kernel's own infinities, and ``0 * inf`` is NaN. Everything that the kernel can pass a
  gradient to (its input, its parameters) therefore goes through a gate at the entrance. The gate
  also gives out a *token*, which the selection at the exit takes in, and the gradient of that
  token is the verdict. Autograd itself thus carries the verdict back to the entrance: no shared
  state, no hook, nothing that a compiler cannot trace;
* buffers (running statistics) are updated on copies, and taken over only if the call was good.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


class _Gate(torch.autograd.Function):
    """(tensors…) -> (token, the same tensors…); passes gradients on only if the token says so."""

    @staticmethod
    def forward(*tensors: Tensor) -> tuple[Tensor, ...]:
        token = tensors[0].new_zeros((), dtype=torch.float32)
        return (token, *(tensor.view_as(tensor) for tensor in tensors))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        # A parameter that the kernel does not use must keep its None, as without the gate.
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        verdict, *rest = gradients
        if verdict is None:
            return tuple(rest)
        good = verdict > 0
        return tuple(
            None if gradient is None else torch.where(good, gradient, torch.zeros_like(gradient))
            for gradient in rest
        )


class _Select(torch.autograd.Function):
    """where(good, output, fallback), which sends `good` back as the gradient of the token."""

    @staticmethod
    def forward(good: Tensor, token: Tensor, output: Tensor, fallback: Tensor) -> Tensor:
        return torch.where(good, output, fallback)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (good,) = ctx.saved_tensors
        nothing = torch.zeros_like(gradient)
        return (
            None,
            good.to(torch.float32),
            torch.where(good, gradient, nothing),
            torch.where(good, nothing, gradient),
        )


class GatedCall:
    """One call of `kernel` on `x`, whose result is taken only if every element is finite.

    Two halves, because the caller looks at shape and dtype between them: construction runs the
    kernel (`output` is its raw result), `settle` makes the choice.
    """

    __slots__ = ("_buffers", "_copies", "_token", "output")

    def __init__(self, kernel: nn.Module, x: Tensor) -> None:
        self._buffers = dict(kernel.named_buffers()) if kernel.training else {}
        self._copies = {name: buffer.clone() for name, buffer in self._buffers.items()}
        replaced: dict[str, Tensor] = dict(self._copies)
        self._token: Tensor | None = None
        if torch.is_grad_enabled():
            x = self._gate(kernel, x, replaced)
        self.output: Any = functional_call(kernel, replaced, (x,)) if replaced else kernel(x)

    def _gate(self, kernel: nn.Module, x: Tensor, replaced: dict[str, Tensor]) -> Tensor:
        trained = {n: p for n, p in kernel.named_parameters() if p.requires_grad}
        gated = [x, *trained.values()] if x.requires_grad else list(trained.values())
        if not gated:
            return x
        self._token, *passed = _Gate.apply(*gated)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if x.requires_grad:
            x, *passed = passed
        replaced.update(zip(trained, passed, strict=True))
        return x

    def settle(self, fallback: Tensor) -> tuple[Tensor, Tensor]:
        """The output if it is finite, else `fallback` (same shape and dtype); and the verdict.

        The verdict is a boolean scalar on the output's device: reading it waits for the device.
        """
        good = torch.isfinite(self.output.detach()).all()
        for name, buffer in self._buffers.items():
            buffer.copy_(torch.where(good, self._copies[name], buffer))
        if self._token is None:
            return torch.where(good, self.output, fallback), good
        chosen: Tensor = _Select.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            good, self._token, self.output, fallback
        )
        return chosen, good
