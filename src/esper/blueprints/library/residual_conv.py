"""Residual convolution blocks."""

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
from esper.blueprints.library.stack import Layer, Stack, add_layer, dense, write_stack
from esper.contracts.enums import KernelMode


@family("residual-conv", "A strided or host-sized convolution, then blocks that add to their input")
class ResidualConv(Family):
    """Blocks of convolution, batch norm and ReLU with a shortcut (He et al. 2016, eq. 1)."""

    sizes = sizes(
        medium=Stack((dense(16, 5, 2), dense(24, 3, 2), Layer("residual", 24, 3))),
        small=Stack((dense(12, 5, 2), dense(16, 3, 2), Layer("residual", 16, 3))),
        large=Stack(
            (dense(16, 5, 2), dense(32, 3, 2), Layer("residual", 32, 3), Layer("residual", 32, 3))
        ),
    )
    order = 17

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_signal(geometry) or is_image(geometry) or is_channels(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        if not is_channels(geometry):
            return write_stack(g, geometry, size, mode)
        returned = width(geometry.output_shape[0])
        blocks = [layer for layer in size.layers if layer.kind == "residual"]
        hidden = norm_relu(g, host_window(g, "x", geometry, blocks[0].channels, bias=False))
        for block in blocks:
            hidden = add_layer(g, hidden, block, causal=geometry.causal)
        return convolve(g, hidden, returned, 1, init=last(mode))
