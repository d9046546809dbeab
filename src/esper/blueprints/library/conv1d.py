"""Strided stacks of one-dimensional convolutions, for flat inputs that may be ordered signals."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import is_signal
from esper.blueprints.library.stack import Stack, dense, write_stack
from esper.contracts.enums import KernelMode


@family("conv1d", "Strided 1-D convolutions over a flat signal, pooled into a vector")
class Conv1dStack(Family):
    """Convolution, batch norm, ReLU, each; then mean and maximum over the line, and a linear map."""

    sizes = sizes(
        medium=Stack((dense(16, 5, 2), dense(24, 3, 2), dense(32, 3))),
        small=Stack((dense(12, 5, 2), dense(16, 3, 2), dense(24, 3))),
        flat=Stack(
            (dense(16, 5, 2), dense(16, 3, 2), dense(32, 3, 2)), pooling="flatten", dropout=0.3
        ),
        mean=Stack((dense(24, 5, 2), dense(24, 3, 2), dense(48, 3, 2)), pooling="mean"),
        large=Stack((dense(16, 5, 2), dense(24, 3), dense(24, 3, 2), dense(48, 3))),
    )
    order = 0
    step = 3

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_signal(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        return write_stack(g, geometry, size, mode)
