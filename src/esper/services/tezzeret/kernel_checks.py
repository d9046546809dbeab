"""Checks that say yes or no: what a kernel must be before anything of it is measured.

Each takes the blueprint under proof, returns what it found in words, and raises `CheckFailedError`
with what is wrong. `prove.CHECKS` has their order.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from esper.blueprints.cost import cost
from esper.blueprints.graph_weights import describe
from esper.blueprints.ir import GraphIR
from esper.contracts.assets import Blueprint
from esper.execution.artifact import pack, unpack
from esper.execution.artifact_check import reference_cost
from esper.execution.kernel_check import is_finite, misfit
from esper.services.tezzeret.proof_subject import CheckFailedError, Size, Subject, trained


def builds(subject: Subject) -> str:
    """The graph becomes a module, and nothing of it is lost as text."""
    subject.fresh()
    again = GraphIR.from_json(subject.ir.to_json())
    if again != subject.ir:
        raise CheckFailedError(
            f"the graph is another one after writing and reading it: {describe(again):.500}"
        )
    return f"{len(subject.ir.nodes)} nodes, depth {subject.ir.depth}"


def claims(subject: Subject) -> str:
    """Shapes, parameters and operations are those that the blueprint states."""
    told, ir = subject.blueprint, subject.ir
    for word, says, has in (
        ("input_shape", told.input_shape, ir.input_spec.shape),
        ("output_shape", told.output_shape, ir.output_spec.shape),
    ):
        if not _agree(says, has):
            raise CheckFailedError(f"the blueprint states {word} {says}, its graph has {has}")
    price = reference_cost(ir)
    if told.parameters != price.parameters:
        raise CheckFailedError(
            f"the blueprint states {told.parameters} parameters, its graph has {price.parameters}"
        )
    return _claimed_flops(told, ir)


def _claimed_flops(told: Blueprint, ir: GraphIR) -> str:
    if None in ir.input_spec.shape:
        # Whoever wrote it had a length in mind that the blueprint does not hold.
        return f"shapes and parameters as stated; {told.flops} operations at an unstated length"
    flops = cost(ir).flops
    if told.flops != flops:
        raise CheckFailedError(
            f"the blueprint states {told.flops} operations, its graph has {flops}"
        )
    return "shapes, parameters and operations as stated"


def _agree(left: tuple[int | None, ...], right: tuple[int | None, ...]) -> bool:
    """Whether two shapes are the same where both are known."""
    return len(left) == len(right) and all(
        a == b or None in {a, b} for a, b in zip(left, right, strict=True)
    )


_BATCHES: Final = (1, 2, 7)


def geometry(subject: Subject) -> str:
    """Shape and dtype hold in both modes, for several batch sizes and every open axis."""
    kernel, tried = subject.fresh(), 0
    for size in subject.sizes:
        for batch in _BATCHES:
            x = subject.sample(batch, size)
            tried += _fits(subject, kernel.eval(), x, size)
            # Statistics of a batch do not exist for one sample of one place.
            if batch > 1 or not subject.mixes_samples:
                tried += _fits(subject, kernel.train(), x, size)
    return f"{tried} calls, sizes {', '.join(map(str, subject.sizes))}, batches {_BATCHES}"


def _fits(subject: Subject, kernel: nn.Module, x: Tensor, size: Size) -> int:
    expected = (len(x), *subject.returned(size).shape)
    with torch.no_grad():
        out = kernel(x)
    fault = misfit(out, x, expected, None)
    if fault is not None:
        raise CheckFailedError(f"for an input of shape {tuple(x.shape)} the kernel {fault[1]}")
    return 1


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
    # Linear in the output: what overflows is then the kernel's doing, not a squared loss's.
    found = trained(kernel, x, lambda out: (out * subject.target()).sum())
    for name, tensor in found.items():
        if not is_finite(tensor):
            what = "output" if name == "output" else f"gradient of {name!r}"
            raise CheckFailedError(f"the {what} is not finite for inputs of scale {scale:g}")


STEPS: Final = 2
"""One step moves the zeros of a residual kernel; in the next every parameter must be reached."""

_RATE: Final = 0.1


def alive(subject: Subject) -> str:
    """Every parameter has a gradient that is not zero within two steps."""
    kernel, x, target = subject.fresh(), subject.sample(), subject.target()
    dead = {name for name, _ in kernel.named_parameters()}
    total = len(dead)
    for _ in range(STEPS if dead else 0):
        trained(kernel, x, lambda out: (out - target).square().mean())
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


_DRAWS: Final = 2


def birth(subject: Subject) -> str:
    """Residual: the output is exactly zero, in both modes. Replacing: it is not all zero."""
    for draw in range(_DRAWS):
        kernel, x = subject.fresh(), subject.sample(salt=draw)
        outputs = {"training": kernel(x), "evaluation": kernel.eval()(x)}
        for mode, out in outputs.items():
            speaks = bool(out.ne(0).any())
            if subject.residual and speaks:
                raise CheckFailedError(
                    f"in {mode} the newborn residual kernel returns up to {out.abs().max():.3g}; "
                    "it must return exact zeros, so that installing it changes nothing"
                )
            if not subject.residual and not speaks and mode == "evaluation":
                raise CheckFailedError("the newborn replacing kernel returns nothing but zeros")
    return "exact zeros" if subject.residual else "not silent"


def modes(subject: Subject) -> str:
    """Without dropout or batch statistics both modes give the same bits."""
    kernel, x = subject.stirred(), subject.sample()
    with torch.no_grad():
        training, evaluation = kernel.train()(x), kernel.eval()(x)
    difference = float((training - evaluation).abs().max()) if training.numel() else 0.0
    if subject.draws or subject.mixes_samples:
        why = "dropout" if subject.draws else "batch statistics"
        return f"differ by up to {difference:.3g}: {why}"
    if not torch.equal(training, evaluation):
        raise CheckFailedError(
            f"training and evaluation differ by up to {difference:.3g}, and the graph has neither "
            "dropout nor batch statistics"
        )
    return "the same bits"


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
        kernel, x = subject.stirred(), subject.sample()
        return trained(kernel, x, lambda out: (out * subject.target()).sum())


def _same(how: str, first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    differing = [name for name, tensor in first.items() if not torch.equal(tensor, second[name])]
    if differing:
        raise CheckFailedError(
            f"{how} twice from the same seed, the kernel differs in {', '.join(differing[:5])}"
        )


CREATED_BY = "tezzeret"
"""The same for every forge: equal blueprints give equal files."""


def written(subject: Subject) -> bytes:
    """Return the newborn kernel as a file that passed every check of loading.

    Raises:
        ArtifactError: A check refused it.
        CheckFailedError: What is read from it is another kernel.
    """
    kernel = subject.fresh()
    data = pack(
        kernel,
        subject.ir,
        subject.blueprint.mode,
        blueprint=subject.blueprint.name,
        created_by=CREATED_BY,
    )
    read, x = unpack(data).build(), subject.sample()
    with torch.no_grad():
        if not torch.equal(read.eval()(x), kernel.eval()(x)):
            raise CheckFailedError("the kernel that is read from its own file returns other values")
    return data
