"""measured_flops: counts the floating-point operations of a module while it runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count


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
