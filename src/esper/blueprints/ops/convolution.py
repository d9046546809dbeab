"""Convolutions over one and two axes."""

from __future__ import annotations

import math

from typing_extensions import override

from esper.blueprints.ops.attribute import Attribute
from esper.blueprints.ops.op import Attrs, Op, ShapeError, Specs, float_axes, known, register
from esper.blueprints.ops.stock import INITIAL, StockModule, Weight
from esper.blueprints.tensor_spec import TensorSpec

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
WIDEST = 2**16
"""No window, step or padding may exceed this along an axis."""


def window(
    size: int | None, kernel: int, stride: int, padding: int, dilation: int = 1
) -> int | None:
    """Return the number of places of a sliding window along an axis; None if the size is.

    Raises:
        ShapeError: The window is wider than the padded axis.
    """
    if size is None:
        return None
    places = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if places < 1:
        raise ShapeError(
            f"has a window of {dilation * (kernel - 1) + 1}, wider than its axis of {size} "
            f"with a padding of {padding} on both sides; make it narrower or pad more"
        )
    return places


def _attributes(kind: type, axes: int) -> dict[str, Attribute]:
    length = axes if kind is tuple else None
    one: int | tuple[int, ...] = (1,) * axes if kind is tuple else 1
    none: int | tuple[int, ...] = (0,) * axes if kind is tuple else 0
    return {
        "out_channels": Attribute(kind=int),
        "kernel_size": Attribute(kind=kind, length=length, high=WIDEST),
        "stride": Attribute(kind=kind, length=length, default=one, high=WIDEST),
        "padding": Attribute(kind=kind, length=length, default=none, low=0, high=WIDEST),
        "dilation": Attribute(kind=kind, length=length, default=one, high=WIDEST),
        "groups": Attribute(kind=int, default=1),
        "bias": Attribute(kind=bool, default=True),
        "padding_mode": Attribute(kind=str, default="zeros", choices=PADDING_MODES),
        "init": Attribute(kind=str, default="default", choices=INITIAL),
    }


class _Convolution(Op):
    """What the convolutions share; `axes` is the number of axes that the window slides along."""

    axes: int
    layer: str

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec = float_axes(inputs[0], self.axes + 1)
        if spec.rank != self.axes + 1:
            raise ShapeError(f"needs {self.axes + 1} axes per sample, not {spec}")
        channels, groups = known(spec, 0), attrs["groups"]
        if channels % groups or attrs["out_channels"] % groups:
            raise ShapeError(
                f"has {groups} groups, which must divide its {channels} input channels and its "
                f"{attrs['out_channels']} output channels"
            )
        if attrs["init"] == "haar" and set(self._each(attrs, "kernel_size")) != {2}:
            raise ShapeError("has the initialisation 'haar', which needs a kernel size of 2")
        per_axis = zip(
            spec.shape[1:],
            *(self._each(attrs, word) for word in ("kernel_size", "stride", "padding", "dilation")),
            strict=True,
        )
        self._check_padding(spec, attrs)
        return spec.with_shape((attrs["out_channels"], *(window(*each) for each in per_axis)))

    def _each(self, attrs: Attrs, word: str) -> tuple[int, ...]:
        value = attrs[word]
        return value if isinstance(value, tuple) else (value,) * self.axes

    def _check_padding(self, spec: TensorSpec, attrs: Attrs) -> None:
        """Reflection needs more places than it mirrors, and a circle does not go round twice."""
        mode = attrs["padding_mode"]
        for size, padding in zip(spec.shape[1:], self._each(attrs, "padding"), strict=True):
            limit = {"reflect": 1, "circular": 0}.get(mode)
            if size is not None and limit is not None and padding > size - limit:
                raise ShapeError(f"pads {padding} by {mode!r}, too much for an axis of {size}")

    @override
    def weights(self, inputs: Specs, attrs: Attrs) -> dict[str, Weight]:
        out = attrs["out_channels"]
        taps = (known(inputs[0], 0) // attrs["groups"], *self._each(attrs, "kernel_size"))
        bias = {"bias": Weight((out,))} if attrs["bias"] else {}
        return {"weight": Weight((out, *taps)), **bias}

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockModule:
        words = {word: value for word, value in attrs.items() if word != "init"}
        words["in_channels"] = known(inputs[0], 0)
        return StockModule(self.layer, words, attrs["init"])

    @override
    def flops(self, inputs: Specs, output: TensorSpec, attrs: Attrs) -> int:
        taps = math.prod(self._each(attrs, "kernel_size"))
        per_value: int = taps * (known(inputs[0], 0) // attrs["groups"])
        return 2 * output.elements * per_value


@register
class Conv1d(_Convolution):
    """`nn.Conv1d` over (C, L)."""

    name = "conv1d"
    summary = "Convolution over (C, L) (nn.Conv1d)"
    attributes = _attributes(int, 1)
    axes = 1
    layer = "Conv1d"


@register
class Conv2d(_Convolution):
    """`nn.Conv2d` over (C, H, W)."""

    name = "conv2d"
    summary = "Convolution over (C, H, W) (nn.Conv2d)"
    attributes = _attributes(tuple, 2)
    axes = 2
    layer = "Conv2d"
