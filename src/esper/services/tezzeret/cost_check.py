"""Cost: parameters, operations and memory are what the graph foretells."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, UntypedStorage, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from typing_extensions import override

from esper.blueprints.cost import cost
from esper.blueprints.flops import measured_flops
from esper.blueprints.ir import GraphIR, Node
from esper.execution.artifact_check import reference_cost
from esper.services.tezzeret.proof_subject import BATCH, CheckFailedError, Size, Subject, trained

MEMORY_FACTOR: Final = 4.0
"""How far a training step's memory may exceed the prediction. The whole library stays within 2."""

LARGEST_BATCH: Final = 32
"""Samples of the step whose memory is measured."""

_BYTES: Final = 4
_CELL: Final = 8
"""Values that a recurrent cell keeps for each hidden unit: four gates and the states."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a kernel was found to cost."""

    parameters: int
    flops: int
    """Of one sample, open axes at `REFERENCE_LENGTH`, as in a kernel file's manifest."""
    peak_bytes: int
    """Of one training step with `LARGEST_BATCH` samples, the weights included."""

    def __str__(self) -> str:
        return (
            f"{self.parameters} parameters, {self.flops} operations a sample, {self.peak_bytes} "
            f"bytes in a training step of {LARGEST_BATCH} samples"
        )


def measure(subject: Subject) -> Measured:
    """Count and run what a kernel costs.

    Raises:
        CheckFailedError: It is not what the graph foretells.
    """
    kernel = subject.fresh()
    parameters = sum(parameter.numel() for parameter in kernel.parameters())
    for size in subject.sizes:
        _flops_as_foretold(subject, kernel, size)
    price = reference_cost(subject.ir)
    if parameters != price.parameters:
        raise CheckFailedError(
            f"the module has {parameters} parameters, the graph foretells {price.parameters}"
        )
    return Measured(
        parameters=parameters, flops=price.flops, peak_bytes=_memory_as_foretold(subject, kernel)
    )


def predicted_bytes(ir: GraphIR, size: Size, batch: int) -> int:
    """Estimate a training step's memory: weights and gradients, and each value with its gradient."""
    closed = ir.with_input_shape(size)
    values = sum(spec.elements for spec in closed.specs.values())
    values += sum(_inside(closed, node) for node in closed.nodes)
    return _BYTES * (2 * values * batch + 2 * cost(closed).parameters)


def _inside(ir: GraphIR, node: Node) -> int:
    """Values that a recurrent net keeps between its cells; 0 for every other op."""
    if node.op not in {"gru", "lstm"}:
        return 0
    cells: int = node.attrs["num_layers"] * (1 + node.attrs["bidirectional"])
    length = ir.input_specs(node)[0].shape[0] or 1
    hidden: int = node.attrs["hidden_size"]
    return _CELL * length * cells * hidden


def _flops_as_foretold(subject: Subject, kernel: nn.Module, size: Size) -> None:
    with torch.no_grad():
        found = measured_flops(kernel, subject.sample(BATCH, size))
    foretold = cost(subject.ir, size).flops * BATCH
    if found != foretold:
        raise CheckFailedError(
            f"{BATCH} samples of shape {size} take {found} operations, the graph foretells {foretold}"
        )


def _memory_as_foretold(subject: Subject, kernel: nn.Module) -> int:
    size = subject.sizes[0]
    x = subject.sample(LARGEST_BATCH, size)
    if x.is_floating_point():
        x.requires_grad_()
    found = peak_bytes(lambda: trained(kernel, x, torch.sum))
    weights: int = sum(tensor.nbytes for tensor in kernel.state_dict().values())
    found += weights
    foretold: int = predicted_bytes(subject.ir, size, LARGEST_BATCH)
    if found > MEMORY_FACTOR * foretold:
        raise CheckFailedError(
            f"a training step of {LARGEST_BATCH} samples takes {found} bytes, more than "
            f"{MEMORY_FACTOR:g} times the {foretold} that the graph foretells"
        )
    return found


class _Allocations(TorchDispatchMode):
    """Counts the storages of all tensors that ops return, for as long as they live.

    Unlike the process's memory it is exact and the same each time; what an op uses inside and
    gives back before it returns is not in it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.peak = 0
        self._alive: dict[int, int] = {}
        self._now = 0

    @override
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {id(storage) for storage in _storages((args, kwargs))}
        for storage in _storages(out):
            # What came in is older than the work, or watched already; views and in-place ops.
            if id(storage) not in given:
                self._watch(storage)
        return out

    def _watch(self, storage: UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._alive:
            return
        self._alive[key] = size
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._forget, key).atexit = False

    def _forget(self, key: int) -> None:
        self._now -= self._alive.pop(key, 0)


def _storages(values: Any) -> list[UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the most bytes of tensors made in `work` that were alive at the same time."""
    counter = _Allocations()
    with counter:
        work()
    return counter.peak
