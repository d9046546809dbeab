"""How far the outputs of two models are apart on the same input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from esper.contracts.errors import ConfigError


def compare(
    model: nn.Module, reference: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Run both models in eval mode without gradients and return the difference of their outputs.

    Args:
        model: The model to judge; its device is where the difference is taken.
        reference: What it is compared with; the input is moved to its device.
        args: Positional arguments of both.
        kwargs: Keyword arguments of both.

    Returns:
        `mse` and `max_absolute_difference` over all floating values of the output (a tensor, or
        any nesting of tuples and dictionaries), and `output_shape` (a list for several tensors).

    Raises:
        ConfigError: The outputs are not of the same shapes, or hold no floating values.
    """
    with torch.no_grad(), _evaluating(model), _evaluating(reference):
        found = _tensors(model(*args, **kwargs))
        moved = pytree.tree_map_only(Tensor, _mover(reference), (args, dict(kwargs)))
        expected = _tensors(reference(*moved[0], **moved[1]))
    shapes = [tensor.shape for tensor in found]
    if not found or shapes != [tensor.shape for tensor in expected]:
        raise ConfigError(
            f"the outputs cannot be compared: {shapes} here, "
            f"{[tensor.shape for tensor in expected]} from the original."
        )
    pairs = zip(found, expected, strict=True)
    difference = torch.cat([(a - b.to(a.device)).double().flatten() for a, b in pairs])
    return {
        "mse": float(difference.square().mean()),
        "max_absolute_difference": float(difference.abs().max()),
        "output_shape": shapes[0] if len(shapes) == 1 else shapes,
    }


def _tensors(output: Any) -> list[Tensor]:
    leaves = pytree.tree_leaves(dict(output) if isinstance(output, Mapping) else output)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _mover(model: nn.Module) -> Any:
    first = next(iter(model.parameters()), None)
    return lambda tensor: tensor if first is None else tensor.to(first.device)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
