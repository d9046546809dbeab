"""Op: one word of the vocabulary, and the registry that holds them all.

An op knows, from the shapes of its inputs and its attributes alone: the shape of its output, the
names and shapes of its weights, its floating-point operations, and what it is in torch
(`stock.py`). Every shape is per sample. Nothing here imports torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from esper.blueprints.ops.attribute import Attribute
from esper.blueprints.ops.stock import Stock, Weight
from esper.blueprints.tensor_spec import TensorSpec
from esper.utils.registry import Registry

Specs = Sequence[TensorSpec]
Attrs = Mapping[str, Any]


class ShapeError(ValueError):
    """An op cannot take these shapes. The graph adds the node's name and raises BlueprintError."""


class Op(ABC):
    """One op of the vocabulary. Subclasses are stateless; the registry holds one instance each."""

    name: ClassVar[str]
    """What nodes call it."""
    summary: ClassVar[str]
    """One line for the documentation."""
    attributes: ClassVar[Mapping[str, Attribute]] = {}
    """The attributes that it takes."""
    arity: ClassVar[tuple[int, int]] = (1, 1)
    """Least and greatest number of inputs."""

    @abstractmethod
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        """Return the output's spec.

        Raises:
            ShapeError: The inputs do not fit; the message says what would.
        """

    def flops(self, inputs: Specs, output: TensorSpec, attrs: Attrs) -> int:
        """Forward operations per sample: 2 for each multiply-accumulate, elementwise work 0.

        Every shape is fully known here.
        """
        return 0

    def weights(self, inputs: Specs, attrs: Attrs) -> dict[str, Weight]:
        """Parameters and buffers by their name within the node, in the order of its `state_dict`."""
        return {}

    @abstractmethod
    def stock(self, inputs: Specs, attrs: Attrs) -> Stock:
        """Return what the op is in torch."""


OPS: Registry[str, Op] = Registry("op")
"""Every op by its name. Filled by importing `vocabulary.py`."""


def register(kind: type[Op]) -> type[Op]:
    """Add an op class to the vocabulary under its own name."""
    OPS.add(kind.name, kind())
    return kind


def float_axes(spec: TensorSpec, least: int) -> TensorSpec:
    """Return `spec` if it is floating-point with at least `least` axes.

    Raises:
        ShapeError: It is not.
    """
    if not spec.is_float:
        raise ShapeError(f"takes floating-point values, not {spec}; embed the integers first")
    if spec.rank < least:
        raise ShapeError(f"needs at least {least} axes per sample, not {spec}")
    return spec


def known(spec: TensorSpec, axis: int) -> int:
    """Return the size of an axis that must be known.

    Raises:
        ShapeError: Its size varies.
    """
    size = spec.shape[axis]
    if size is None:
        raise ShapeError(f"needs a known size on axis {axis} of {spec}")
    return size
