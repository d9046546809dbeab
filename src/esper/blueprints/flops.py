"""FLOPs, counted while they run: the one place where ledger, races, cost checks and reports count.

`torch.utils.flop_counter.FlopCounterMode` counts a multiply-add as two operations, and nothing for
elementwise work, norms and pooling. It knows matrix products, convolutions and most attention; it
counts 0 for the kernels listed here, and for the fused inference path of
`nn.TransformerEncoderLayer`. `blueprints/cost.py` predicts the same figures without running.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

Shape = tuple[int, ...]


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(
    gradient: Shape, query: Shape, key: Shape, value: Shape, *_: Any, **__: Any
) -> int:
    """Four products for the gradients, and the scores once more: they were not kept."""
    return int(sdpa_backward_flop_count(gradient, query, key, value))


def _onednn_lstm(steps: Shape, weight: Shape, state_weight: Shape, *_: Any, **__: Any) -> int:
    """One layer and direction: (S, B, F) through the input's weights and the state's."""
    return 2 * math.prod(steps[:2]) * (math.prod(weight) + math.prod(state_weight))


def _cudnn_rnn(steps: Shape, weights: Sequence[Shape], *_: Any, **__: Any) -> int:
    """All layers and directions: each position through every matrix; biases are vectors."""
    matrices = sum(math.prod(weight) for weight in weights if len(weight) == 2)
    return 2 * math.prod(steps[:-1]) * matrices


def _twice(forward: Callable[..., int]) -> Callable[..., int]:
    """A backward kernel that always finds both gradients, the input's and the weights'."""
    return lambda *args, **keywords: 2 * forward(*args, **keywords)


def _convolution_backward(
    gradient: Shape,
    x: Shape,
    weight: Shape,
    _bias: Shape | None,
    _stride: Sequence[int],
    _padding: Sequence[int],
    _dilation: Sequence[int],
    transposed: bool,
    _output_padding: Sequence[int],
    _groups: int,
    wanted: Sequence[bool],
    **_: Any,
) -> int:
    """As many products as forward for each gradient; torch's own formula knows no groups."""
    places = x if transposed else gradient
    return 2 * math.prod(places) * math.prod(weight[1:]) * sum(wanted[:2])


def _matrix_vector(matrix: Shape, *_: Any, **__: Any) -> int:
    return 2 * math.prod(matrix)


def _add_matrix_vector(_added: Shape, matrix: Shape, *_: Any, **__: Any) -> int:
    return 2 * math.prod(matrix)


_ATEN = torch.ops.aten
_KERNELS: dict[Any, Callable[..., int]] = {
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _attention,  # torch names it so
    _ATEN._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,  # as above
    _ATEN.mkldnn_rnn_layer: _onednn_lstm,
    _ATEN.mkldnn_rnn_layer_backward: _twice(_onednn_lstm),
    _ATEN._cudnn_rnn: _cudnn_rnn,  # as above
    _ATEN._cudnn_rnn_backward: _twice(_cudnn_rnn),  # as above
    _ATEN.convolution_backward: _convolution_backward,
    _ATEN.mv: _matrix_vector,
    _ATEN.dot: _matrix_vector,
    _ATEN.addmv: _add_matrix_vector,
}


@contextmanager
def counting() -> Iterator[FlopCounterMode]:
    """Count what runs inside, forward and backward; ``get_total_flops()`` of it is the figure."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the same products, one by one
    try:
        with FlopCounterMode(display=False, custom_mapping=_KERNELS) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def measured_flops(module: torch.nn.Module, *inputs: Any, **keywords: Any) -> int:
    """Return the floating-point operations of one forward call, counted while it runs.

    The whole batch is counted.
    """
    with counting() as counter:
        module(*inputs, **keywords)
    return int(counter.get_total_flops())
