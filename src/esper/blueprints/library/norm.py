"""Norms in place of norms, or scaled beside them."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import BOTH
from esper.blueprints.library.family import Family
from esper.blueprints.library.family import family
from esper.blueprints.library.family import sizes
from esper.blueprints.library.fitting import NORMS
from esper.blueprints.library.fitting import is_channels
from esper.blueprints.library.fitting import is_vectors
from esper.blueprints.library.fitting import width
from esper.contracts.enums import KernelMode


@family("norm", "Another norm in place of a norm: root mean square, layer or group")
class Norm(Family):
    """Over channels, root mean square and layer norm treat each place by itself.

    In a sequence all three treat each position by itself, so that none looks ahead.
    """

    sizes = sizes(layer="layer_norm", rms="rms_norm", group="group_norm")
    order = 1

    @override
    def fits(self, geometry: Geometry) -> bool:
        vectors = is_vectors(geometry) or is_channels(geometry)
        return geometry.host in NORMS and vectors

    @override
    def modes(self, geometry: Geometry) -> tuple[KernelMode, ...]:
        return BOTH

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        over_channels = is_channels(geometry)
        axis = 0 if over_channels else -1
        if size == "group_norm":
            hidden = self._groups(g, geometry)
        elif over_channels:
            rank = len(geometry.input_shape)
            turned = g.add("permute", "x", order=(*range(1, rank), 0))
            hidden = g.add("permute", g.add(size, turned), order=(rank - 1, *range(rank - 1)))
        else:
            hidden = g.add(size, "x")
        if mode is KernelMode.RESIDUAL:
            hidden = g.add("scale", hidden, axis=axis, value=0.0)
        return hidden

    def _groups(self, g: GraphBuilder, geometry: Geometry) -> str:
        """Return a group norm; over vectors the features form the groups, position by position."""
        channels = width(geometry.input_shape[0 if is_channels(geometry) else -1])
        groups = next(count for count in (8, 4, 2, 1) if channels % count == 0)
        if is_channels(geometry) or len(geometry.input_shape) == 1:
            return g.add("group_norm", "x", groups=groups)
        split = g.add("unflatten", "x", sizes=(groups, channels // groups))
        normal = g.add("layer_norm", split, affine=False)
        return g.add("scale", g.add("flatten", normal, first=-2, last=-1))
