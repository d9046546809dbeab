"""Example: one call of a model, and the variations of it that tracing tries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from esper.contracts.errors import GeometryError

Place = int | str
"""A position among the positional arguments, or a keyword."""


@dataclass(frozen=True)
class Example:
    """Arguments of one call of a model."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @staticmethod
    def of(example_input: Any) -> Example:
        """Read a tensor, a tuple or list of arguments, or a mapping of keyword arguments.

        Raises:
            GeometryError: There is no tensor in it.
        """
        if isinstance(example_input, Mapping):
            found = Example((), dict(example_input))
        elif isinstance(example_input, tuple | list):
            found = Example(tuple(example_input), {})
        else:
            found = Example((example_input,), {})
        if not found.tensors():
            raise GeometryError(
                f"example_input is a {type(example_input).__name__} without tensors; pass a tensor, "
                "a tuple of arguments or a dict of keyword arguments, with a batch axis."
            )
        return found

    def tensors(self) -> dict[Place, torch.Tensor]:
        """Return the tensors among the arguments, by place."""
        places: dict[Place, Any] = dict(enumerate(self.args))
        places.update(self.kwargs)
        return {place: value for place, value in places.items() if isinstance(value, torch.Tensor)}

    def batched(self, axis: int) -> dict[Place, torch.Tensor]:
        """Return the tensors that share the first one's size along `axis`."""
        tensors = {place: value for place, value in self.tensors().items() if value.dim() > axis}
        if not tensors:
            return {}
        size = next(iter(tensors.values())).shape[axis]
        return {place: value for place, value in tensors.items() if value.shape[axis] == size}

    def has_axis(self, axis: int) -> bool:
        """Whether there is a tensor with that axis."""
        return bool(self.batched(axis))

    def first_samples(self, axis: int) -> Example:
        """Return the example with its first two samples only."""
        return self.with_changed(
            self.batched(axis), lambda value: value.narrow(axis, 0, _two(value, axis))
        )

    def repeated(self, axis: int) -> Example:
        """Return the example with every sample twice."""
        return self.with_changed(
            self.batched(axis), lambda value: torch.cat([value, value], dim=axis)
        )

    def changed_at(self, axis: int, index: int) -> Example:
        """Return the example with other values at one index of an axis."""
        return self.with_changed(
            _values(self.batched(axis)), lambda value: _changed(value, axis, index)
        )

    def shortened(self, batch_axis: int) -> Iterator[Example]:
        """Yield the example with each axis that may be a sequence cut to half its length."""
        for axis, length in sorted(self._sequence_axes(batch_axis)):
            for kept in dict.fromkeys((length // 2, length - 1)):
                yield self._cut(batch_axis, axis, length, kept)

    def changed_at_last_position(self, batch_axis: int) -> Iterator[tuple[Example, int]]:
        """Yield, for each tensor and each axis that may be a sequence, a change at its end."""
        for place, value in _values(self.batched(batch_axis)).items():
            for axis, length in _axes(value, batch_axis):
                change = partial(_changed, axis=axis, index=length - 1)
                yield self.with_changed({place: value}, change), length

    def _sequence_axes(self, batch_axis: int) -> set[tuple[int, int]]:
        batched = self.batched(batch_axis).values()
        return {pair for value in batched for pair in _axes(value, batch_axis)}

    def _cut(self, batch_axis: int, axis: int, length: int, kept: int) -> Example:
        batched = self.batched(batch_axis)

        def cut(value: torch.Tensor) -> torch.Tensor:
            return value.narrow(axis, 0, kept)

        along = {
            place: value
            for place, value in batched.items()
            if value.dim() > axis and value.shape[axis] == length
        }
        masks = {
            place: value
            for place, value in self.tensors().items()
            if place not in batched and tuple(value.shape) == (length, length)
        }
        shorter = self.with_changed(along, cut)
        return shorter.with_changed(masks, lambda value: value[:kept, :kept])

    def with_changed(
        self,
        tensors: Mapping[Place, torch.Tensor],
        change: Callable[[torch.Tensor], torch.Tensor],
    ) -> Example:
        """Return the example with `change` applied to the tensors at these places."""
        args = tuple(
            change(value) if place in tensors else value for place, value in enumerate(self.args)
        )
        kwargs = {
            name: change(value) if name in tensors else value for name, value in self.kwargs.items()
        }
        return Example(args, kwargs)

    def __str__(self) -> str:
        return ", ".join(
            f"{place}: {tuple(value.shape)}" for place, value in self.tensors().items()
        )


def _two(value: torch.Tensor, axis: int) -> int:
    return min(2, value.shape[axis])


def _values(tensors: Mapping[Place, torch.Tensor]) -> dict[Place, torch.Tensor]:
    """Leave out masks: a change there is no change of a value."""
    return {
        place: value
        for place, value in tensors.items()
        if value.dtype != torch.bool and "mask" not in str(place)
    }


def _axes(value: torch.Tensor, batch_axis: int) -> list[tuple[int, int]]:
    """Return the axes that may be a sequence: of integers (B, S) and of floats (B, S, F), (B, C, L)."""
    per_sample = value.dim() - 1
    if per_sample != 2 and (per_sample != 1 or value.is_floating_point()):
        return []
    others = [axis for axis in range(value.dim()) if axis != batch_axis]
    return [(axis, value.shape[axis]) for axis in others if value.shape[axis] > 1]


def _changed(value: torch.Tensor, axis: int, index: int) -> torch.Tensor:
    """Return a copy with other values at one index of an axis; integers stay among those seen."""
    changed = value.clone()
    part = changed.select(axis, index)
    if value.is_floating_point():
        part.add_(1.0 + value.abs().max())
        return changed
    low, high = int(value.min()), int(value.max())
    if low == high:
        part.fill_(low - 1 if low > 0 else low + 1)
    else:
        part.copy_(torch.where(part == high, low, high))
    return changed


def tensors_in(value: Any) -> list[torch.Tensor]:
    """Return the tensors of a nested output, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in tensors_in(item)]
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in tensors_in(item)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [tensor for item in vars(value).values() for tensor in tensors_in(item)]
    return []
