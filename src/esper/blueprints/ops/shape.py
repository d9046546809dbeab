"""Ops that move values without computing. Axes are per sample: axis 0 follows the batch axis."""

from __future__ import annotations

import math

from typing_extensions import override

from esper.blueprints.ops.attribute import Attribute, schema
from esper.blueprints.ops.op import Attrs, Op, ShapeError, Specs, float_axes, known, register
from esper.blueprints.ops.stock import StockCall
from esper.blueprints.tensor_spec import TensorSpec

AXIS = Attribute(kind=int, default=-1, low=-8, high=7)


def place(spec: TensorSpec, axis: int) -> int:
    """Return an axis counted from the front.

    Raises:
        ShapeError: The value has no such axis.
    """
    if not -spec.rank <= axis < spec.rank:
        raise ShapeError(f"has axis {axis}, but its input {spec} has {spec.rank} axes per sample")
    return axis % spec.rank


@register
class Flatten(Op):
    """`torch.flatten` of some or all axes."""

    name = "flatten"
    summary = "Axes from `first` to `last` in one (torch.flatten)"
    attributes = schema(
        first=Attribute(kind=int, default=0, low=-8, high=7),
        last=Attribute(kind=int, default=-1, low=-8, high=7),
    )

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec = inputs[0]
        first, last = place(spec, attrs["first"]), place(spec, attrs["last"])
        if first > last:
            raise ShapeError(f"would flatten from axis {first} back to axis {last}")
        if first == last:
            return spec
        inner = [known(spec, axis) for axis in range(first, last + 1)]
        return spec.with_shape((*spec.shape[:first], math.prod(inner), *spec.shape[last + 1 :]))

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockCall:
        first, last = place(inputs[0], attrs["first"]), place(inputs[0], attrs["last"])
        return StockCall("torch.flatten", (first + 1, last + 1))


@register
class Unflatten(Op):
    """`torch.unflatten` of one axis."""

    name = "unflatten"
    summary = "One axis as several (torch.unflatten)"
    attributes = schema(axis=AXIS, sizes=Attribute(kind=tuple))

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec, sizes = inputs[0], attrs["sizes"]
        axis = place(spec, attrs["axis"])
        if math.prod(sizes) != known(spec, axis):
            raise ShapeError(f"has sizes {sizes}, whose product is not the axis of {spec}")
        return spec.with_shape((*spec.shape[:axis], *sizes, *spec.shape[axis + 1 :]))

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockCall:
        return StockCall("torch.unflatten", (place(inputs[0], attrs["axis"]) + 1, attrs["sizes"]))


@register
class Permute(Op):
    """`torch.permute` of all axes."""

    name = "permute"
    summary = "Axes in another order (torch.permute)"
    attributes = schema(order=Attribute(kind=tuple, low=0, high=7))

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec, order = inputs[0], attrs["order"]
        if sorted(order) != list(range(spec.rank)):
            raise ShapeError(f"has order {order}, which must name each axis of {spec} once")
        return spec.with_shape(tuple(spec.shape[axis] for axis in order))

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockCall:
        return StockCall("torch.permute", ((0, *(axis + 1 for axis in attrs["order"])),))


@register
class Slice(Op):
    """`torch.narrow`: a stretch of one axis."""

    name = "slice"
    summary = "`length` places of one axis from `start` on (torch.narrow)"
    attributes = schema(
        axis=AXIS,
        start=Attribute(kind=int, default=0, low=0),
        length=Attribute(kind=int),
    )

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec = inputs[0]
        axis = place(spec, attrs["axis"])
        if attrs["start"] + attrs["length"] > known(spec, axis):
            raise ShapeError(
                f"takes {attrs['length']} places from {attrs['start']} on, more than {spec} has"
            )
        return spec.with_shape((*spec.shape[:axis], attrs["length"], *spec.shape[axis + 1 :]))

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockCall:
        axis = place(inputs[0], attrs["axis"])
        return StockCall("torch.narrow", (axis + 1, attrs["start"], attrs["length"]))


@register
class Concatenate(Op):
    """`torch.cat` along one axis."""

    name = "concat"
    summary = "Several values behind each other along one axis (torch.cat)"
    attributes = schema(axis=AXIS)
    arity = (2, 16)

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec = inputs[0]
        axis = place(spec, attrs["axis"])
        rests = {(other.shape[:axis], other.shape[axis + 1 :], other.dtype) for other in inputs}
        if len(rests) > 1:
            raise ShapeError(f"cannot join {', '.join(map(str, inputs))} along axis {axis}")
        size = sum(known(other, axis) for other in inputs)
        return spec.with_shape((*spec.shape[:axis], size, *spec.shape[axis + 1 :]))

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockCall:
        return StockCall("torch.cat", (place(inputs[0], attrs["axis"]) + 1,), as_list=True)


@register
class Pad(Op):
    """`F.pad` with zeros."""

    name = "pad"
    summary = "Zeros before and after the last axis, then the one before it, … (F.pad)"
    attributes = schema(widths=Attribute(kind=tuple, low=0, high=2**20))

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec, widths = float_axes(inputs[0], 1), attrs["widths"]
        if len(widths) % 2 or len(widths) > 2 * spec.rank:
            raise ShapeError(f"has {len(widths)} widths; it needs two for each axis to pad")
        shape = list(spec.shape)
        for index in range(len(widths) // 2):
            size = shape[-1 - index]
            grown = widths[2 * index] + widths[2 * index + 1]
            shape[-1 - index] = None if size is None else size + grown
        return spec.with_shape(tuple(shape))

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockCall:
        return StockCall("functional.pad", (attrs["widths"],))
