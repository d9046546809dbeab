"""Subject: the blueprint under proof, and the modules and inputs that the checks try it with.

A check is a function of a subject. It returns what it found, in words, and raises
`CheckFailedError` where that is not what is wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import Tensor, nn

from esper.blueprints.build import build
from esper.blueprints.ir import GraphIR
from esper.blueprints.tensor_spec import TensorSpec
from esper.contracts.assets import Blueprint
from esper.contracts.enums import KernelMode
from esper.contracts.errors import BlueprintError
from esper.execution.artifact_check import REFERENCE_LENGTH

Size = tuple[int, ...]

LENGTHS: Final = (16, 1, 3, 11, REFERENCE_LENGTH)
"""Sizes that an axis of any size is tried at, the one that most checks use in front."""

BATCH: Final = 5
"""Samples of a check's batch, where their number does not matter."""

_STIR: Final = 0.05
_MIXED_BY_BATCH: Final = frozenset({"batch_norm1d", "batch_norm2d"})
_RANDOM: Final = frozenset({"dropout", "dropout1d", "dropout2d"})


class CheckFailedError(ValueError):
    """The kernel is not what it must be; the message says what was found and what is wanted."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A blueprint under proof. Its graph is valid."""

    blueprint: Blueprint
    ir: GraphIR
    seed: int
    """Of the weights that the kernel is born with, and of all inputs."""

    @staticmethod
    def of(blueprint: Blueprint, *, seed: int) -> Subject:
        """Read the blueprint's graph.

        Raises:
            BlueprintError: It is not valid, or no kernel's: one input "x", one output "y".
        """
        ir = GraphIR.from_dict(blueprint.architecture)
        if set(ir.inputs) != {"x"} or set(ir.outputs) != {"y"}:
            raise BlueprintError(
                f"The graph of {blueprint.name!r} has the inputs {sorted(ir.inputs)} and the "
                f"outputs {sorted(ir.outputs)}; a kernel has the one input 'x' and the one "
                "output 'y'."
            )
        return Subject(blueprint=blueprint, ir=ir, seed=seed)

    @property
    def residual(self) -> bool:
        """Whether the kernel is added to its host."""
        return self.blueprint.mode is KernelMode.RESIDUAL

    @property
    def mixes_samples(self) -> bool:
        """Whether a sample's result depends on its batch while training."""
        return any(node.op in _MIXED_BY_BATCH for node in self.ir.nodes)

    @property
    def draws(self) -> bool:
        """Whether the kernel draws random numbers while training."""
        return any(node.op in _RANDOM or node.attrs.get("dropout") for node in self.ir.nodes)

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """Every concrete shape of a sample that the checks try: one, or one for each length.

        Raises:
            CheckFailedError: The graph accepts none of `LENGTHS`.
        """
        accepted = []
        for length in LENGTHS if None in self.ir.input_spec.shape else LENGTHS[:1]:
            size = _closed(self.ir.input_spec.shape, length)
            try:
                self.ir.with_input_shape(size)
            except BlueprintError:
                continue  # a window longer than the line: the host would refuse it as well
            accepted.append(size)
        if not accepted:
            raise CheckFailedError(
                f"the graph accepts {self.ir.input_spec} at none of the lengths {LENGTHS}"
            )
        return tuple(accepted)

    def returned(self, size: Size) -> TensorSpec:
        """Return the spec of one sample's output for an input of that size."""
        return self.ir.with_input_shape(size).output_spec

    def fresh(self) -> nn.Module:
        """Return the kernel as it is born, in training mode."""
        return build(self.ir, seed=self.seed)

    def stirred(self) -> nn.Module:
        """Return the kernel with every parameter a little off, as training leaves it.

        A residual kernel's output is zero at birth, where many faults cannot be seen.
        """
        kernel, generator = self.fresh(), self._generator(1)
        with torch.no_grad():
            for parameter in kernel.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(noise, alpha=_STIR)
        return kernel

    def sample(
        self, batch: int = BATCH, size: Size | None = None, *, scale: float = 1.0, salt: int = 0
    ) -> Tensor:
        """Return an input, (batch, *size): ids of the vocabulary, or normal numbers times `scale`.

        Equal arguments give equal inputs. `size` is the first of `sizes` if None.
        """
        shape = (batch, *(self.sizes[0] if size is None else size))
        generator = self._generator(2 + salt)
        if self.ir.input_spec.is_float:
            return torch.randn(shape, generator=generator) * scale
        ids = torch.randint(self.vocabulary, shape, generator=generator)
        # The ends of the vocabulary are where an off-by-one shows.
        ids.view(-1)[0], ids.view(-1)[-1] = 0, self.vocabulary - 1
        return ids

    @cached_property
    def vocabulary(self) -> int:
        """Number of ids that every embedding which reads the input knows."""
        tables = [node.attrs["num_embeddings"] for node in self.ir.nodes if node.op == "embedding"]
        return min(tables, default=2)

    def target(self, size: Size | None = None) -> Tensor:
        """Return something to train towards: one normal tensor of the output's shape, batch `BATCH`."""
        shape = self.returned(self.sizes[0] if size is None else size).shape
        return torch.randn((BATCH, *[n or 1 for n in shape]), generator=self._generator(0))

    def _generator(self, salt: int) -> torch.Generator:
        return torch.Generator().manual_seed(1000 * self.seed + salt)


Check = Callable[[Subject], str]
"""Returns what was found; raises `CheckFailedError` where that is not what is wanted."""


def trained(kernel: nn.Module, x: Tensor, loss: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Run a kernel forward and backward; returns its output and all gradients by name, x's as "x"."""
    kernel.zero_grad()
    out = kernel(x)
    if out.requires_grad:
        loss(out).backward()
    leaves = {**dict(kernel.named_parameters()), "x": x}
    gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    return {"output": out.detach(), **gradients}


def _closed(shape: tuple[int | None, ...], length: int) -> Size:
    """Put sizes in place of open axes, each one more than the last: a swap of two then shows."""
    sizes, extra = [], 0
    for size in shape:
        sizes.append(length + extra if size is None else size)
        extra += size is None
    return tuple(sizes)
