"""What a module has to cost by its formulas, worked out from the shapes that pass through it."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from esper.data.models.transformer import CausalSelfAttention


def analytic(model: nn.Module, x: Tensor) -> tuple[int, int]:
    """Forward operations on a batch, and those of forward and backward together.

    The backward pass costs two forward ones, one for each gradient. It saves the input's where
    nobody asks for it, and the attention kernel finds its scores once more.
    """
    forward, training = [], []

    def note(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        cost, unasked, again = _cost(module, inputs, output)
        forward.append(cost)
        training.append(3 * cost + again - (0 if inputs[0].requires_grad else unasked))

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(forward), sum(training)


def _cost(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> tuple[int, int, int]:
    """Forward, of that what the gradient for the module's own input costs, and what comes again."""
    match module:
        case nn.Linear():
            forward = 2 * output.numel() * module.in_features
            return forward, forward, 0
        case nn.Conv1d() | nn.Conv2d():
            taps = math.prod(module.kernel_size) * module.in_channels // module.groups
            forward = 2 * output.numel() * taps
            return forward, forward, 0
        case nn.RNNBase():
            return _recurrent(module, inputs[0])
        case nn.MultiheadAttention():
            positions, width = inputs[0].shape[:2].numel(), inputs[0].shape[2]
            length = inputs[0].shape[1 if module.batch_first else 0]
            projections, scores = 2 * positions * width**2, 4 * positions * length * width
            return 4 * projections + scores, 3 * projections, 0
        case CausalSelfAttention():  # its projections are layers of their own
            batch, length, width = inputs[0].shape
            scores = 2 * batch * length**2 * width
            return 2 * scores, 0, scores
        case _:
            return 0, 0, 0


def _recurrent(module: nn.RNNBase, x: Tensor) -> tuple[int, int, int]:
    batch, length = x.shape[:2]
    matrices = {n: p.numel() for n, p in module.named_parameters() if p.dim() == 2}
    forward = 2 * batch * length * sum(matrices.values())
    if isinstance(module, nn.LSTM):  # oneDNN finds every gradient, asked for or not
        return forward, 0, 0
    first = sum(size for name, size in matrices.items() if "weight_ih_l0" in name)
    return forward, 2 * batch * length * first, -first_states(module, batch)


def first_states(model: nn.Module, batch: int) -> int:
    """What a GRU saves on the way back: its first state is nobody's output."""
    named = [
        item for m in model.modules() if isinstance(m, nn.GRU) for item in m.named_parameters()
    ]
    return 2 * batch * sum(p.numel() for name, p in named if "weight_hh" in name)
