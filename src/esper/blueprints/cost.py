"""What a graph costs: parameters and forward floating-point operations, exactly, before building.

Operations are counted as `torch.utils.flop_counter.FlopCounterMode` counts them: two for each
multiply-accumulate of convolutions, matrix products and attention; elementwise work, norms and
pooling count 0; causal attention counts in full.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from esper.blueprints.build import count_parameters
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


def _cpu_attention(
    query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...], *_: Any, **__: Any
) -> int:
    count: int = sdpa_flop_count(query, key, value)
    return count


def _cpu_lstm(
    steps: tuple[int, ...],
    input_weight: tuple[int, ...],
    hidden_weight: tuple[int, ...],
    *_: Any,
    **__: Any,
) -> int:
    """Count one layer and direction: (S, B, F) through the input's and the state's weights."""
    return 2 * steps[0] * steps[1] * (math.prod(input_weight) + math.prod(hidden_weight))


CPU_KERNELS: dict[Any, Callable[..., Any]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _cpu_attention,  # torch names it so
    torch.ops.aten.mkldnn_rnn_layer: _cpu_lstm,
}
"""Counts for the kernels that torch's counter does not know."""


def measured_flops(module: torch.nn.Module, *inputs: Any, **keywords: Any) -> int:
    """Return the floating-point operations of one forward call, counted while it runs.

    The whole batch is counted.
    """
    counter = FlopCounterMode(display=False, custom_mapping=CPU_KERNELS)
    with counter:
        module(*inputs, **keywords)
    total: int = counter.get_total_flops()
    return total
