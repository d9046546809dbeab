"""Low rank: two thin linear maps in place of one wide one (or of a convolution)."""

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
    is_vectors,
    last,
    width,
)
from esper.contracts.enums import KernelMode


@family("low-rank", "Two thin linear maps, x → rank → y, without an activation between them")
class LowRank(Family):
    """The rank is a share of the narrower side (LoRA, Hu et al. 2021, with the second map live)."""

    sizes = sizes(small=1 / 16, medium=1 / 8, large=1 / 4)
    order = 18

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_vectors(geometry) or is_channels(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        axis = 0 if is_channels(geometry) else -1
        read, returned = width(geometry.input_shape[axis]), width(geometry.output_shape[axis])
        rank = max(2, int(min(read, returned) * size))
        if is_channels(geometry):
            thin = host_window(g, "x", geometry, rank, bias=False)
            return convolve(g, thin, returned, 1, init=last(mode))
        thin = g.add("linear", "x", out_features=rank, bias=False)
        return g.add("linear", thin, out_features=returned, init=last(mode))
