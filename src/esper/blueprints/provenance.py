"""Provenance: what the values of a flat tensor were before it was flattened.

While a model runs, every call that only moves values (reshape, permute, transpose, …) is replayed
on a tensor of running numbers. Where a layer reads a flat vector, those numbers say which place of
which earlier tensor each value came from, whatever chain of moves lies between.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from typing_extensions import override

MOVES = frozenset(
    [
        "flatten",
        "unflatten",
        "reshape",
        "view",
        "permute",
        "transpose",
        "swapaxes",
        "swapdims",
        "movedim",
        "moveaxis",
        "squeeze",
        "unsqueeze",
        "t",
        "reshape_as",
        "view_as",
    ]
)
"""Functions that only move values: replayed on the running numbers."""
KEEPS = frozenset(
    [
        "contiguous",
        "clone",
        "detach",
        "to",
        "float",
        "double",
        "half",
        "bfloat16",
        "type",
        "cuda",
        "cpu",
        "relu",
        "relu_",
        "gelu",
        "silu",
        "tanh",
        "sigmoid",
        "leaky_relu",
        "elu",
        "mish",
        "hardswish",
        "hardtanh",
        "relu6",
        "softplus",
        "selu",
        "celu",
        "dropout",
        "dropout1d",
        "dropout2d",
        "alpha_dropout",
        "feature_dropout",
        "add",
        "sub",
        "mul",
        "div",
        "true_divide",
        "add_",
        "sub_",
        "mul_",
        "div_",
        "__add__",
        "__sub__",
        "__mul__",
        "__truediv__",
        "__radd__",
        "__rmul__",
        "batch_norm",
        "clamp",
        "exp",
        "log",
        "abs",
    ]
)
"""Functions that leave each value in its place: the running numbers pass through."""


@dataclass(frozen=True)
class Origin:
    """Where the values of a tensor came from.

    Args:
        numbers: For each value, its running number in the original tensor.
        shape: Shape of the original tensor, batch axis included.
        is_input: Whether the original tensor is one of the model's inputs.
    """

    numbers: torch.Tensor
    shape: tuple[int, ...]
    is_input: bool


@dataclass(frozen=True)
class Source:
    """What one sample of a flat tensor was: `flat == source.permute(permutation).flatten()`."""

    shape: tuple[int, ...]
    permutation: tuple[int, ...]


class ProvenanceMode(TorchFunctionMode):
    """While active, follows every tensor through calls that move values.

    Args:
        inputs: The model's inputs.
    """

    def __init__(self, inputs: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self._inputs = list(inputs)
        # The tensor itself is kept, so that its id is not given to another one.
        self._origins: dict[int, tuple[torch.Tensor, Origin]] = {}

    @override
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        keywords = kwargs or {}
        result = func(*args, **keywords)
        name = getattr(func, "__name__", "")
        if name not in MOVES | KEEPS or not isinstance(result, torch.Tensor):
            return result
        first = args[0] if args else keywords.get("input")
        if isinstance(first, torch.Tensor):
            if name in MOVES and not any(isinstance(rest, torch.dtype) for rest in args[1:]):
                self._follow(func, first, args[1:], keywords, result)
            elif first is not result and first.shape == result.shape:
                self._keep(result, self.origin(first))
        return result

    def _follow(
        self,
        func: Callable[..., Any],
        first: torch.Tensor,
        rest: tuple[Any, ...],
        keywords: dict[str, Any],
        result: torch.Tensor,
    ) -> None:
        origin = self.origin(first)
        others = {key: value for key, value in keywords.items() if key != "input"}
        numbers = func(origin.numbers, *rest, **others)
        if numbers.shape == result.shape:
            self._keep(result, Origin(numbers, origin.shape, origin.is_input))

    def _keep(self, tensor: torch.Tensor, origin: Origin) -> None:
        self._origins[id(tensor)] = (tensor, origin)

    def origin(self, tensor: torch.Tensor) -> Origin:
        """Return where a tensor's values came from; a tensor not made by moves is its own origin."""
        found = self._origins.get(id(tensor))
        if found is not None and found[0] is tensor:
            return found[1]
        shape = tuple(tensor.shape)
        is_input = any(tensor is one for one in self._inputs)
        numbers = torch.arange(tensor.numel(), device="cpu").reshape(shape)
        return Origin(numbers, shape, is_input)


def source_of(origin: Origin) -> Source | None:
    """Return what each sample of a flat (B, F) tensor was, or None where no order of axes fits.

    Needs B of at least 2. Only sources of two or three axes, one sample each, are told.
    """
    numbers = origin.numbers
    if numbers.dim() != 2 or len(numbers) < 2:
        return None
    places = torch.unravel_index(numbers[0], origin.shape)
    following = torch.unravel_index(numbers[1], origin.shape)
    for axis in range(len(origin.shape)):
        rest = [other for other in range(len(origin.shape)) if other != axis]
        one_sample = places[axis].eq(places[axis][0]).all()
        same_elsewhere = all(torch.equal(places[other], following[other]) for other in rest)
        if one_sample and same_elsewhere and origin.shape[axis] == len(numbers):
            shape = tuple(origin.shape[other] for other in rest)
            return _order_of([places[other] for other in rest], shape)
    return None


def _order_of(places: Sequence[torch.Tensor], shape: tuple[int, ...]) -> Source | None:
    """Return the order of axes whose flattening visits the places in turn."""
    if len(shape) not in (2, 3) or not places:
        return None
    local = torch.zeros_like(places[0])
    for place, size in zip(places, shape, strict=True):
        local = local * size + place
    running = torch.arange(torch.Size(shape).numel()).reshape(shape)
    for order in itertools.permutations(range(len(shape))):
        if torch.equal(running.permute(order).flatten(), local):
            return Source(shape, order)
    return None


def as_channels(source: Source) -> Source | None:
    """Return the source with its channels first: (C, L) or (C, H, W); None where it has one place.

    An image without channels (two like-sized axes) gets one; an image with its channels last (up to
    four of them, both other axes larger) is turned.
    """
    shape, order = source.shape, source.permutation
    if len(shape) == 3 and shape[2] <= 4 < min(shape[:2]):
        # source == channels_first.permute(1, 2, 0), hence the composition of the two orders.
        shape, order = (shape[2], *shape[:2]), tuple((1, 2, 0)[axis] for axis in order)
    if len(shape) == 2 and min(shape) >= 6 and max(shape) <= 2 * min(shape):
        shape, order = (1, *shape), (0, *(axis + 1 for axis in order))
    places = torch.Size(shape[1:]).numel()
    return Source(shape, order) if places > 1 else None
