"""Strided stacks of two-dimensional convolutions, for flat inputs that were images."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import is_image
from esper.blueprints.library.stack import Stack, dense, pool, write_stack
from esper.contracts.enums import KernelMode


@family("conv2d", "Strided 2-D convolutions over a flattened image, pooled into a vector")
class Conv2dStack(Family):
    """Convolution, batch norm, ReLU, each; then pooling or flattening, and a linear map."""

    sizes = sizes(
        medium=Stack((dense(16, 5, 2), dense(32, 3, 2)), pooling="flatten", dropout=0.3),
        pooled=Stack(
            (dense(16, 3), pool(), dense(32, 3), pool(), dense(48, 3), pool()),
            pooling="flatten",
            dropout=0.2,
        ),
        small=Stack((dense(8, 5, 2), dense(16, 3, 2), dense(32, 3))),
        wide=Stack(
            (dense(24, 5, 2), dense(32, 3), pool(), dense(48, 3), pool()),
            pooling="flatten",
            dropout=0.2,
        ),
        large=Stack((dense(16, 5, 2), dense(32, 3, 2), dense(64, 3))),
    )
    order = 0
    step = 3

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_image(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        return write_stack(g, geometry, size, mode)
