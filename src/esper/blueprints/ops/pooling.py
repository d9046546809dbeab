"""Pooling: sliding windows over (C, L) and (C, H, W), and reductions of whole axes."""

from __future__ import annotations

from typing_extensions import override

from esper.blueprints.ops.attribute import Attribute, schema
from esper.blueprints.ops.convolution import WIDEST, window
from esper.blueprints.ops.op import Attrs, Op, ShapeError, Specs, float_axes, register
from esper.blueprints.ops.stock import StockCall, StockModule
from esper.blueprints.tensor_spec import TensorSpec


class _Pool(Op):
    """A square sliding window with the same size, stride and padding along every axis."""

    attributes = schema(
        kernel_size=Attribute(kind=int, high=WIDEST),
        stride=Attribute(kind=int, high=WIDEST),
        padding=Attribute(kind=int, default=0, low=0, high=WIDEST),
    )
    axes: int
    layer: str

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec = float_axes(inputs[0], self.axes + 1)
        kernel, stride, padding = attrs["kernel_size"], attrs["stride"], attrs["padding"]
        if spec.rank != self.axes + 1:
            raise ShapeError(f"needs {self.axes + 1} axes per sample, not {spec}")
        if 2 * padding > kernel:
            raise ShapeError(f"pads {padding}, more than half of its kernel size {kernel}")
        places = (window(size, kernel, stride, padding) for size in spec.shape[1:])
        return spec.with_shape((spec.shape[0], *places))

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockModule:
        return StockModule(self.layer, attrs)


@register
class MaxPool1d(_Pool):
    """`nn.MaxPool1d`."""

    name = "max_pool1d"
    summary = "Greatest value of a sliding window over (C, L) (nn.MaxPool1d)"
    axes = 1
    layer = "MaxPool1d"


@register
class MaxPool2d(_Pool):
    """`nn.MaxPool2d`."""

    name = "max_pool2d"
    summary = "Greatest value of a sliding window over (C, H, W) (nn.MaxPool2d)"
    axes = 2
    layer = "MaxPool2d"


@register
class AvgPool1d(_Pool):
    """`nn.AvgPool1d`."""

    name = "avg_pool1d"
    summary = "Mean of a sliding window over (C, L) (nn.AvgPool1d)"
    axes = 1
    layer = "AvgPool1d"


@register
class AvgPool2d(_Pool):
    """`nn.AvgPool2d`."""

    name = "avg_pool2d"
    summary = "Mean of a sliding window over (C, H, W) (nn.AvgPool2d)"
    axes = 2
    layer = "AvgPool2d"


class _Reduction(Op):
    """One value in place of whole axes, counted from the end."""

    attributes = schema(
        axes=Attribute(kind=int, default=1, high=8),
        keep=Attribute(kind=bool, default=False),
    )
    function: str

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        count = attrs["axes"]
        spec = float_axes(inputs[0], count)
        ones = (1,) * count if attrs["keep"] else ()
        return spec.with_shape((*spec.shape[: spec.rank - count], *ones))

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockCall:
        return StockCall(self.function, (tuple(range(-attrs["axes"], 0)), attrs["keep"]))


@register
class Mean(_Reduction):
    """Mean of the last axes: global average pooling."""

    name = "mean"
    summary = "Mean over the last `axes` axes (global average pooling)"
    function = "torch.mean"


@register
class Maximum(_Reduction):
    """Greatest value of the last axes: global max pooling."""

    name = "amax"
    summary = "Greatest value over the last `axes` axes (global max pooling)"
    function = "torch.amax"
