"""Meter: how many samples a model was trained on between two steps, in however many passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


class Meter:
    """Notes the shapes of the batches that go forward with gradients.

    With gradient accumulation a step has several of them, and its caller shows one. A compiled
    model is not metered: no graph is broken for it.
    """

    def __init__(self) -> None:
        self._passes: dict[torch.Size, int] = {}

    def note(self, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> None:
        """Note one forward pass, by its first tensor."""
        if torch.is_grad_enabled():
            first = args[0] if args else None
            if not isinstance(first, Tensor):
                first = _first_tensor((*args, *keywords.values()))
            if first is not None:
                shape, passes = first.shape, self._passes
                passes[shape] = passes.get(shape, 0) + 1

    def take(self, shown: Any, samples: int) -> int:
        """Samples since the last time, by what is known of one batch; at least those of that one.

        Args:
            shown: a batch of the step, as the model is called with it.
            samples: its number of samples, which tells which axis of a tensor counts them.
        """
        passes = self._passes
        first = shown if isinstance(shown, Tensor) else _first_tensor((shown,))
        if first is not None and (len(passes) > 1 or passes.get(first.shape) != 1):
            axis = next((i for i, size in enumerate(first.shape) if size == samples), None)
            if axis is not None:
                known = (shape for shape in passes if len(shape) == first.dim())
                samples = max(samples, sum(shape[axis] * passes[shape] for shape in known))
        passes.clear()
        return samples


def _first_tensor(values: Iterable[Any]) -> Tensor | None:
    for value in values:
        if isinstance(value, Tensor):
            return value
        inner = value.values() if isinstance(value, Mapping) else value
        is_nested = isinstance(value, (Mapping, tuple, list))
        if is_nested and (found := _first_tensor(inner)) is not None:
            return found
    return None
