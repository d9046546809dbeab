"""Multi-layer perceptrons of one hidden layer: narrow and wide."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import is_vectors, last, normalise, width
from esper.contracts.enums import KernelMode

NARROWEST = 8


@family("bottleneck-mlp", "One hidden layer, normalised, not wider than the narrower side")
class BottleneckMLP(Family):
    """Linear, norm, ReLU, linear."""

    sizes = sizes(large=1.0, medium=0.5, small=0.25)
    order = 4

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_vectors(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        read, returned = width(geometry.input_shape[-1]), width(geometry.output_shape[-1])
        hidden = max(NARROWEST, int(min(read, returned) * size))
        return _perceptron(g, geometry, hidden, mode, "relu")


@family("wide-mlp", "One hidden layer, normalised, as wide as the wider side or wider")
class WideMLP(Family):
    """Linear, norm, GELU, linear."""

    sizes = sizes(small=1, medium=2, large=4)
    order = 15

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_vectors(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        read, returned = width(geometry.input_shape[-1]), width(geometry.output_shape[-1])
        hidden = max(NARROWEST, max(read, returned) * size)
        return _perceptron(g, geometry, hidden, mode, "gelu")


def _perceptron(
    g: GraphBuilder, geometry: Geometry, hidden: int, mode: KernelMode, activation: str
) -> str:
    wide = g.add("linear", "x", out_features=hidden, bias=False)
    active = g.add(activation, normalise(g, wide, geometry))
    returned = width(geometry.output_shape[-1])
    return g.add("linear", active, out_features=returned, init=last(mode))
