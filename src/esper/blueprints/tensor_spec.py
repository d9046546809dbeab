"""TensorSpec: the shape and dtype of a value in a graph, per sample (never with a batch axis)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from esper.contracts.errors import BlueprintError

DTYPES = ("float32", "int64")

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of one value, for one sample.

    Args:
        shape: Sizes of the axes after the batch axis; `None` is an axis of any size, such as a
            sequence whose length varies. `()` is a scalar per sample.
        dtype: "float32" (any floating dtype at run time: a kernel follows its host) or "int64".

    Raises:
        BlueprintError: An axis is not a positive integer or None, or the dtype is unknown.
    """

    shape: Shape
    dtype: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        for size in self.shape:
            if size is not None and (type(size) is not int or size < 1):
                raise BlueprintError(
                    f"A tensor's shape holds {size!r}; every axis must be an integer of at "
                    "least 1, or None where any size is accepted."
                )
        if self.dtype not in DTYPES:
            raise BlueprintError(
                f"A tensor's dtype is {self.dtype!r}; choose one of {', '.join(DTYPES)}."
            )

    @property
    def rank(self) -> int:
        """Number of axes, the batch axis not counted."""
        return len(self.shape)

    @property
    def elements(self) -> int:
        """Number of values per sample, each axis of unknown size counted as 1."""
        return math.prod(size or 1 for size in self.shape)

    @property
    def is_float(self) -> bool:
        """Whether the values are floating-point."""
        return self.dtype == "float32"

    def with_shape(self, shape: Shape) -> TensorSpec:
        """Return this spec with another shape."""
        return TensorSpec(shape, self.dtype)

    def __str__(self) -> str:
        axes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"({axes})" if self.is_float else f"({axes}) {self.dtype}"
