"""Depthwise-separable convolutions: each channel by itself, then a mix of channels."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import (
    convolve,
    host_window,
    is_channels,
    is_image,
    is_signal,
    last,
    norm_relu,
    width,
)
from esper.blueprints.library.stack import Layer, Stack, dense, write_stack
from esper.contracts.enums import KernelMode


@family("depthwise-separable", "Depthwise, then pointwise convolutions, in one or two dimensions")
class DepthwiseSeparable(Family):
    """MobileNet's factorisation (Howard et al. 2017, section 3.1)."""

    sizes = sizes(
        medium=Stack(
            (dense(16, 5, 2), Layer("separable", 24, 5, 2), Layer("separable-residual", 24, 3))
        ),
        small=Stack((dense(8, 5, 2), Layer("separable", 16, 5, 2))),
        large=Stack(
            (
                dense(32, 5, 2),
                Layer("separable", 32, 5),
                Layer("separable", 48, 5, 2),
                Layer("separable", 64, 3),
            )
        ),
        flat=Stack(
            (dense(16, 5, 2), Layer("separable", 32, 3, 2), Layer("separable-residual", 32, 3)),
            pooling="flatten",
            dropout=0.3,
        ),
    )
    order = 9
    step = 4

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_signal(geometry) or is_image(geometry) or is_channels(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        if not is_channels(geometry):
            return write_stack(g, geometry, size, mode)
        read, returned = width(geometry.input_shape[0]), width(geometry.output_shape[0])
        hidden = host_window(g, "x", geometry, read, groups=read, bias=False)
        hidden = norm_relu(g, convolve(g, hidden, size.layers[-1].channels, 1, bias=False))
        return convolve(g, hidden, returned, 1, init=last(mode))
