"""ShapesOnly: modules made under it have shapes and dtypes, and nothing is drawn for their weights.

On the meta device torch still walks through its initial distributions, which is half of what it
takes to describe a module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from torch.overrides import TorchFunctionMode

DRAWING: Final = frozenset(
    {
        "constant_",
        "fill_",
        "kaiming_normal_",
        "kaiming_uniform_",
        "normal_",
        "trunc_normal_",
        "uniform_",
        "xavier_normal_",
        "xavier_uniform_",
        "zero_",
    }
)
"""Torch's functions that only write values, by name: `torch.nn.init`'s and the tensors' own."""


class ShapesOnly(TorchFunctionMode):
    """Leaves tensors as they are where values would be written into them."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__ in DRAWING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
