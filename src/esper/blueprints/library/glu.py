"""Gated linear units: one linear map opens and closes the other."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import is_vectors, last, width
from esper.contracts.enums import KernelMode


@family("glu", "SwiGLU: a linear map gated by the SiLU of another, then a linear map")
class SwiGLU(Family):
    """`W3 (silu(W1 x) * W2 x)` (Shazeer 2020, eq. 6)."""

    sizes = sizes(small=0.5, medium=1.0, large=2.0)
    order = 6

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_vectors(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        read, returned = width(geometry.input_shape[-1]), width(geometry.output_shape[-1])
        hidden = max(8, int(2 * max(read, returned) * size) // 3)
        opened = g.add("silu", g.add("linear", "x", out_features=hidden))
        gated = g.add("mul", opened, g.add("linear", "x", out_features=hidden))
        return g.add("linear", gated, out_features=returned, init=last(mode))
