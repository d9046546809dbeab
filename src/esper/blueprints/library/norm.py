"""Norms in place of norms, or scaled beside them."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import BOTH, Family, family, sizes
from esper.blueprints.library.fitting import NORMS, is_channels, is_vectors, width
from esper.contracts.enums import KernelMode, Layout


@family("norm", "Another norm in place of a norm: root mean square, layer or group")
class Norm(Family):
    """Over channels, root mean square and layer norm treat each place by itself.

    In a sequence, and wherever looking ahead is barred, so does group norm.
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
        if size == "group_norm" and not geometry.causal and geometry.layout is not Layout.TOKENS:
            channels = width(geometry.input_shape[0])
            hidden = g.add("group_norm", "x", groups=_groups(channels))
        elif over_channels:
            rank = len(geometry.input_shape)
            turned = g.add("permute", "x", order=(*range(1, rank), 0))
            normal = _each_place(g, turned, size)
            hidden = g.add("permute", normal, order=(rank - 1, *range(rank - 1)))
        else:
            hidden = _each_place(g, "x", size)
        if mode is KernelMode.RESIDUAL:
            hidden = g.add("scale", hidden, axis=0 if over_channels else -1, value=0.0)
        return hidden


def _each_place(g: GraphBuilder, source: str, norm: str) -> str:
    """Add a norm of the last axis that treats each place by itself."""
    if norm != "group_norm":
        return g.add(norm, source)
    channels = g.size(source, -1)
    groups = _groups(channels)
    split = g.add("unflatten", source, sizes=(groups, channels // groups))
    normal = g.add("layer_norm", split, affine=False)
    return g.add("scale", g.add("flatten", normal, first=-2, last=-1))


def _groups(channels: int) -> int:
    """Return the greatest of 8, 4, 2 and 1 that divides the channels into groups of several."""
    return next(
        count
        for count in (8, 4, 2, 1)
        if (channels % count == 0 and channels > count) or count == 1
    )
