"""Elementwise ops: activations, sums and products, dropout. Their cost counts as 0."""

from __future__ import annotations

from typing_extensions import override

from esper.blueprints.ops.attribute import Attribute, schema
from esper.blueprints.ops.op import Attrs, Op, ShapeError, Specs, float_axes, register
from esper.blueprints.ops.stock import StockCall, StockModule
from esper.blueprints.tensor_spec import Shape, TensorSpec


class _Module(Op):
    """A module that keeps the shape."""

    layer: str

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        return float_axes(inputs[0], 0)

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockModule:
        return StockModule(self.layer, attrs)


ACTIVATIONS = {
    "relu": "ReLU",
    "gelu": "GELU",
    "silu": "SiLU",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
    "elu": "ELU",
    "mish": "Mish",
    "hardswish": "Hardswish",
}
"""Activations without attributes."""

for _name, _layer in ACTIVATIONS.items():
    _summary = f"{_layer} activation (nn.{_layer})"
    register(type(_layer, (_Module,), {"name": _name, "summary": _summary, "layer": _layer}))


@register
class LeakyReLU(_Module):
    """`nn.LeakyReLU`."""

    name = "leaky_relu"
    summary = "ReLU with a slope for negative values (nn.LeakyReLU)"
    attributes = schema(negative_slope=Attribute(kind=float, default=0.01, low=0, high=1))
    layer = "LeakyReLU"


@register
class Softmax(_Module):
    """`nn.Softmax` over the last axis."""

    name = "softmax"
    summary = "Softmax over the last axis (nn.Softmax)"

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        return float_axes(inputs[0], 1)

    layer = "Softmax"

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockModule:
        return StockModule(self.layer, {"dim": -1})


@register
class Dropout(_Module):
    """`nn.Dropout`."""

    name = "dropout"
    summary = "Dropout of single values (nn.Dropout)"
    attributes = schema(p=Attribute(kind=float, default=0.5, low=0, high=1))
    layer = "Dropout"


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
    layer = "Dropout1d"
    rank = 2


@register
class Dropout2d(_ChannelDropout):
    """`nn.Dropout2d`."""

    name = "dropout2d"
    summary = "Dropout of whole channels of (C, H, W) (nn.Dropout2d)"
    layer = "Dropout2d"
    rank = 3


class _Function(Op):
    """A function of one input that keeps the shape."""

    function: str

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        return float_axes(inputs[0], 0)

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockCall:
        return StockCall(self.function)


@register
class Square(_Function):
    """`torch.square`."""

    name = "square"
    summary = "Square of each value"
    function = "torch.square"


@register
class Log1p(_Function):
    """`torch.log1p`."""

    name = "log1p"
    summary = "log(1 + x) of each value; its inputs must be above -1, such as a power spectrum"
    function = "torch.log1p"


@register
class Absolute(_Function):
    """`torch.abs`."""

    name = "abs"
    summary = "Absolute value of each value"
    function = "torch.abs"


def broadcast(left: TensorSpec, right: TensorSpec) -> Shape:
    """Return the shape of two operands of equal rank whose axes are equal, or 1 on one side.

    Raises:
        ShapeError: They do not match.
    """
    pairs = list(zip(left.shape, right.shape, strict=False))
    if left.rank != right.rank or any(a != b and 1 not in (a, b) for a, b in pairs):
        raise ShapeError(f"cannot join {left} and {right}: their axes must be equal or 1")
    return tuple(b if a == 1 else a for a, b in pairs)


class _Binary(Op):
    """A function of two inputs with broadcasting."""

    arity = (2, 2)
    function: str

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        left, right = (float_axes(spec, 0) for spec in inputs)
        return left.with_shape(broadcast(left, right))

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockCall:
        return StockCall(self.function)


@register
class Add(_Binary):
    """Sum."""

    name = "add"
    summary = "Sum of two values, with broadcasting over axes of size 1"
    function = "operator.add"


@register
class Multiply(_Binary):
    """Product."""

    name = "mul"
    summary = "Product of two values, with broadcasting over axes of size 1"
    function = "operator.mul"
