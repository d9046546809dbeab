"""A mixture of two experts with a soft router."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import is_vectors, last, width
from esper.contracts.enums import KernelMode


@family("mixture", "Two small perceptrons, weighed for each sample or position by a soft router")
class Mixture(Family):
    """`sum_i softmax(R x)_i E_i(x)` (Jacobs et al. 1991, eq. 1) with two experts."""

    sizes = sizes(small=0.25, medium=0.5, large=1.0)
    order = 19

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_vectors(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        read, returned = width(geometry.input_shape[-1]), width(geometry.output_shape[-1])
        hidden = max(8, int(max(read, returned) * size))
        weights = g.add("softmax", g.add("linear", "x", out_features=2))
        shares = []
        for expert in range(2):
            inner = g.add("relu", g.add("linear", "x", out_features=hidden))
            answer = g.add("linear", inner, out_features=returned, init=last(mode))
            weight = g.add("slice", weights, start=expert, length=1)
            shares.append(g.add("mul", answer, weight))
        return g.add("add", *shares)
