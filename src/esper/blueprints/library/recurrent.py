"""A gated recurrent unit over a sequence."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import is_sequence, last, width
from esper.contracts.enums import KernelMode


@family("gru", "A gated recurrent unit over a sequence, then a linear map")
class RecurrentUnit(Family):
    """Cho et al. 2014, section 2.3. It looks back only."""

    sizes = sizes(small=0.5, medium=1.0, large=2.0)
    order = 11

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_sequence(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        read, returned = width(geometry.input_shape[-1]), width(geometry.output_shape[-1])
        hidden = max(4, int(min(read, returned) * size))
        states = g.add("gru", "x", hidden_size=hidden)
        return g.add("linear", states, out_features=returned, init=last(mode))
