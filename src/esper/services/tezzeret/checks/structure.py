"""Structure: the kernel builds, and is what its blueprint says."""

from __future__ import annotations

from esper.blueprints.cost import cost
from esper.blueprints.graph_weights import describe
from esper.blueprints.ir import GraphIR
from esper.contracts.assets import Blueprint
from esper.execution.artifact_check import reference_cost
from esper.services.tezzeret.checks.subject import CheckFailedError, Subject


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
