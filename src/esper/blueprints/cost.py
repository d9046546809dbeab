"""What a graph costs: parameters and forward floating-point operations, exactly, before building.

Operations are counted as `torch.utils.flop_counter.FlopCounterMode` counts them: two for each
multiply-accumulate of convolutions, matrix products and attention; elementwise work, norms and
pooling count 0; causal attention counts in full.
"""

from __future__ import annotations

from dataclasses import dataclass

from esper.blueprints.graph_weights import count_parameters
from esper.blueprints.ir import GraphIR
from esper.contracts.errors import BlueprintError


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Size and work of a kernel.

    Args:
        parameters: Number of trainable values.
        flops: Forward floating-point operations for one sample.
    """

    parameters: int
    flops: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one forward pass over one sample."""
        return self.flops // 2


def cost(ir: GraphIR, input_shape: tuple[int, ...] | None = None) -> Cost:
    """Return the exact cost of one sample.

    Args:
        ir: The graph.
        input_shape: Per-sample shape of the input; needed where the graph leaves an axis open.

    Raises:
        BlueprintError: The graph does not accept the shape, or an axis is open and no shape given.
    """
    return Cost(parameters=count_parameters(ir), flops=flops(ir, input_shape))


def flops(ir: GraphIR, input_shape: tuple[int, ...] | None = None) -> int:
    """Return the forward floating-point operations of one sample; as `cost`, which counts more."""
    if input_shape is not None:
        ir = ir.with_input_shape(input_shape)
    for name, spec in ir.inputs.items():
        if None in spec.shape:
            raise BlueprintError(
                f"The input {name!r} {spec} has an open axis, so its cost depends on the length: "
                "call cost(ir, input_shape=...) with every axis known."
            )
    return sum(
        ir.op(node).flops(ir.input_specs(node), ir.specs[node.name], node.attrs)
        for node in ir.nodes
    )
