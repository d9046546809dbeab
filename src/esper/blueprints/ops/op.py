"""Op: one word of the vocabulary, and the registry that holds them all.

An op knows, from the shapes of its inputs and its attributes alone: the shape of its output, the
names and shapes of its weights, its floating-point operations, and how to write itself into an
fx graph with stock torch modules and functions. Every shape is per sample.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import fx, nn
from typing_extensions import override

from esper.blueprints.ops.attribute import Attribute
from esper.blueprints.ops.shapes_only import ShapesOnly
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

    @abstractmethod
    def tensors(self, inputs: Specs, attrs: Attrs) -> dict[str, torch.Tensor]:
        """Parameters and buffers on the meta device, by their name within the node."""

    @abstractmethod
    def emit(
        self,
        graph: fx.Graph,
        root: dict[str, Any],
        name: str,
        sources: Sequence[fx.Node],
        inputs: Specs,
        attrs: Attrs,
    ) -> fx.Node:
        """Write the node into `graph` and its modules or parameters into `root`."""


class ModuleOp(Op):
    """An op that is one stock module of the node's name."""

    @abstractmethod
    def module(self, inputs: Specs, attrs: Attrs) -> nn.Module:
        """Make the module, with torch's own initialisation or the one that `attrs` names."""

    @override
    def tensors(self, inputs: Specs, attrs: Attrs) -> dict[str, torch.Tensor]:
        with torch.device("meta"), ShapesOnly():
            return self.module(inputs, attrs).state_dict(keep_vars=True)

    @override
    def emit(
        self,
        graph: fx.Graph,
        root: dict[str, Any],
        name: str,
        sources: Sequence[fx.Node],
        inputs: Specs,
        attrs: Attrs,
    ) -> fx.Node:
        root[name] = self.module(inputs, attrs)
        return graph.call_module(name, tuple(sources))


class FunctionOp(Op):
    """An op that is one call of a torch function and has no weights."""

    @abstractmethod
    def call(self, inputs: Specs, attrs: Attrs) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return the function and the arguments that follow the inputs."""

    @override
    def tensors(self, inputs: Specs, attrs: Attrs) -> dict[str, torch.Tensor]:
        return {}

    @override
    def emit(
        self,
        graph: fx.Graph,
        root: dict[str, Any],
        name: str,
        sources: Sequence[fx.Node],
        inputs: Specs,
        attrs: Attrs,
    ) -> fx.Node:
        function, rest = self.call(inputs, attrs)
        return graph.call_function(function, (*sources, *rest))


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
