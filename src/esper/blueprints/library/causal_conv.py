"""Causal depthwise convolution over a sequence: each feature looks back a few positions."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import convolve, is_sequence, last, width
from esper.contracts.enums import KernelMode


@family("causal-conv", "Each feature of a sequence convolved with its own past, then a linear map")
class CausalConv(Family):
    """Padded on the left only, so that no position sees a later one (as in Gulati et al. 2020)."""

    sizes = sizes(medium=5, small=3, large=9)
    order = 7

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_sequence(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        read, returned = width(geometry.input_shape[-1]), width(geometry.output_shape[-1])
        turned = g.add("permute", g.add("layer_norm", "x"), order=(1, 0))
        past = convolve(g, turned, read, size, groups=read, causal=True)
        active = g.add("silu", g.add("permute", past, order=(1, 0)))
        return g.add("linear", active, out_features=returned, init=last(mode))
