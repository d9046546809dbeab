"""Elementwise ops: activations, sums and products, dropout. Their cost counts as 0."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from typing_extensions import override

from esper.blueprints.ops.attribute import Attribute, schema
from esper.blueprints.ops.op import (
    Attrs,
    FunctionOp,
    ModuleOp,
    ShapeError,
    Specs,
    float_axes,
    register,
)
from esper.blueprints.tensor_spec import Shape, TensorSpec


class _Module(ModuleOp):
    """A module that keeps the shape."""

    layer: Callable[..., nn.Module]

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        return float_axes(inputs[0], 0)

    @override
    def module(self, inputs: Specs, attrs: Attrs) -> nn.Module:
        return type(self).layer(**attrs)


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "elu": nn.ELU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
}
"""Activations without attributes."""

for _name, _layer in ACTIVATIONS.items():
    _summary = f"{_layer.__name__} activation (nn.{_layer.__name__})"
    register(
        type(_layer.__name__, (_Module,), {"name": _name, "summary": _summary, "layer": _layer})
    )


@register
class LeakyReLU(_Module):
    """`nn.LeakyReLU`."""

    name = "leaky_relu"
    summary = "ReLU with a slope for negative values (nn.LeakyReLU)"
    attributes = schema(negative_slope=Attribute(kind=float, default=0.01, low=0, high=1))
    layer = nn.LeakyReLU


@register
class Softmax(_Module):
    """`nn.Softmax` over the last axis."""

    name = "softmax"
    summary = "Softmax over the last axis (nn.Softmax)"

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        return float_axes(inputs[0], 1)

    @override
    def module(self, inputs: Specs, attrs: Attrs) -> nn.Module:
        return nn.Softmax(dim=-1)


@register
class Dropout(_Module):
    """`nn.Dropout`."""

    name = "dropout"
    summary = "Dropout of single values (nn.Dropout)"
    attributes = schema(p=Attribute(kind=float, default=0.5, low=0, high=1))
    layer = nn.Dropout


class _ChannelDropout(_Module):
    """Dropout of whole channels: the first axis."""

    attributes = schema(p=Attribute(kind=float, default=0.5, low=0, high=1))
    rank: int

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        if inputs[0].rank != self.rank:
            raise ShapeError(f"needs {self.rank} axes per sample, not {inputs[0]}")
        return float_axes(inputs[0], self.rank)


@register
class Dropout1d(_ChannelDropout):
    """`nn.Dropout1d`."""

    name = "dropout1d"
    summary = "Dropout of whole channels of (C, L) (nn.Dropout1d)"
    layer = nn.Dropout1d
    rank = 2


@register
class Dropout2d(_ChannelDropout):
    """`nn.Dropout2d`."""

    name = "dropout2d"
    summary = "Dropout of whole channels of (C, H, W) (nn.Dropout2d)"
    layer = nn.Dropout2d
    rank = 3


class _Function(FunctionOp):
    """A function of one input that keeps the shape."""

    function: Callable[..., torch.Tensor]

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        return float_axes(inputs[0], 0)

    @override
    def call(self, inputs: Specs, attrs: Attrs) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self).function, ()


@register
class Square(_Function):
    """`torch.square`."""

    name = "square"
    summary = "Square of each value"
    function = staticmethod(torch.square)


@register
class Log1p(_Function):
    """`torch.log1p`."""

    name = "log1p"
    summary = "log(1 + x) of each value; its inputs must be above -1, such as a power spectrum"
    function = staticmethod(torch.log1p)


@register
class Absolute(_Function):
    """`torch.abs`."""

    name = "abs"
    summary = "Absolute value of each value"
    function = staticmethod(torch.abs)


def broadcast(left: TensorSpec, right: TensorSpec) -> Shape:
    """Return the shape of two operands of equal rank whose axes are equal, or 1 on one side.

    Raises:
        ShapeError: They do not match.
    """
    pairs = list(zip(left.shape, right.shape, strict=False))
    if left.rank != right.rank or any(a != b and 1 not in (a, b) for a, b in pairs):
        raise ShapeError(f"cannot join {left} and {right}: their axes must be equal or 1")
    return tuple(b if a == 1 else a for a, b in pairs)


class _Binary(FunctionOp):
    """A function of two inputs with broadcasting."""

    arity = (2, 2)
    function: Callable[..., Any]

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        left, right = (float_axes(spec, 0) for spec in inputs)
        return left.with_shape(broadcast(left, right))

    @override
    def call(self, inputs: Specs, attrs: Attrs) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self).function, ()


@register
class Add(_Binary):
    """Sum."""

    name = "add"
    summary = "Sum of two values, with broadcasting over axes of size 1"
    function = staticmethod(operator.add)


@register
class Multiply(_Binary):
    """Product."""

    name = "mul"
    summary = "Product of two values, with broadcasting over axes of size 1"
    function = staticmethod(operator.mul)
