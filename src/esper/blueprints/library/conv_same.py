"""Stacks of convolutions that keep the host's sizes, over channels or along a sequence."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import (
    axes_of,
    convolve,
    enter,
    host_window,
    is_channels,
    is_sequence,
    last,
    norm_relu,
    width,
)
from esper.contracts.enums import KernelMode


@family(
    "conv1d-same", "Two 1-D convolutions over channels, or along a sequence, that keep its length"
)
class Conv1dSame(Family):
    """Over channels with the host's own window first; along a causal sequence padded on the left."""

    sizes = sizes(medium=(1.0, 3), small=(0.5, 3), large=(1.0, 5))
    order = 2

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_sequence(geometry) or (is_channels(geometry) and axes_of(geometry) == 1)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        share, window = size
        if is_channels(geometry):
            return _two_layers(g, geometry, share, window, mode)
        read, returned = width(geometry.input_shape[-1]), width(geometry.output_shape[-1])
        hidden = max(4, int(min(read, returned) * share))
        turned = g.add("permute", g.add("layer_norm", "x"), order=(1, 0))
        first = g.add("gelu", convolve(g, turned, hidden, window, causal=geometry.causal))
        second = convolve(g, first, returned, window, causal=geometry.causal, init=last(mode))
        return g.add("permute", second, order=(1, 0))


@family("conv2d-same", "Two 2-D convolutions over channels: the host's window, then one of 3 or 5")
class Conv2dSame(Family):
    """The host's own window keeps every size; batch norm and ReLU between the two."""

    sizes = sizes(medium=(1.0, 3), small=(0.5, 3), large=(1.0, 5))
    order = 2

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_channels(geometry) and axes_of(geometry) == 2

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        share, window = size
        return _two_layers(g, geometry, share, window, mode)


def _two_layers(
    g: GraphBuilder, geometry: Geometry, share: float, window: int, mode: KernelMode
) -> str:
    returned = width(geometry.output_shape[0])
    hidden = max(4, int(returned * share))
    first = norm_relu(g, host_window(g, enter(g, geometry), geometry, hidden, bias=False))
    return convolve(g, first, returned, window, causal=geometry.causal, init=last(mode))
