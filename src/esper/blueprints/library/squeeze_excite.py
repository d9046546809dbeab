"""Squeeze-and-excite: channels weighed by what the whole line or image holds."""

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
from esper.blueprints.library.stack import Layer, Stack, dense, gate, write_stack
from esper.contracts.enums import KernelMode


@family(
    "squeeze-excite", "Convolutions whose channels are weighed by a gate that sees the whole input"
)
class SqueezeExcite(Family):
    """A gate after each inner layer (Hu et al. 2018). Not offered where looking ahead is barred."""

    sizes = sizes(
        medium=Stack((dense(16, 5, 2), Layer("excited", 24, 3, 2), dense(32, 3))),
        small=Stack((dense(8, 5, 2), Layer("excited", 16, 3, 2))),
        large=Stack((dense(16, 5, 2), Layer("excited", 32, 3, 2), Layer("excited", 48, 3))),
    )
    order = 21

    @override
    def fits(self, geometry: Geometry) -> bool:
        if is_channels(geometry):
            return not geometry.causal
        return is_signal(geometry) or is_image(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        if not is_channels(geometry):
            return write_stack(g, geometry, size, mode)
        returned = width(geometry.output_shape[0])
        channels = size.layers[-1].channels
        hidden = norm_relu(g, host_window(g, "x", geometry, channels, bias=False))
        weighed = g.add("mul", hidden, gate(g, hidden))
        return convolve(g, weighed, returned, 1, init=last(mode))
