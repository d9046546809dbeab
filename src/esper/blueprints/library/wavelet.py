"""Wavelet front end: a cascade of Haar filters, learnable from there on."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import enter, is_signal, last, width
from esper.contracts.enums import KernelMode


@family("wavelet", "Learnable cascade of Haar filters over a flat signal, then a small perceptron")
class Wavelet(Family):
    """Each level splits the low band again and halves it (Mallat 1989, section IV)."""

    sizes = sizes(small=(2, 0.5), medium=(3, 1.0), large=(4, 2.0))
    order = 16

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_signal(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        levels, share = size
        low, bands = enter(g, geometry), []
        channels = g.size(low, 0)
        for _ in range(levels):
            length = g.size(low, 1)
            if length < 4:
                break
            even = g.add("pad", low, widths=(0, 1)) if length % 2 else low
            both = self._split(g, even, channels)
            bands.append(self._band(g, both, 1))
            low = self._band(g, both, 0)
        parts = [g.add("flatten", part) for part in (*bands, low)]
        features = g.add("batch_norm1d", g.add("concat", *parts))
        returned = width(geometry.output_shape[0])
        hidden = max(8, int(share * returned))
        active = g.add("relu", g.add("linear", features, out_features=hidden))
        return g.add("linear", active, out_features=returned, init=last(mode))

    def _split(self, g: GraphBuilder, source: str, channels: int) -> str:
        """Return (C, 2, L / 2): for each channel its low and its high band."""
        both = g.add(
            "conv1d",
            source,
            out_channels=2 * channels,
            kernel_size=2,
            stride=2,
            groups=channels,
            bias=False,
            init="haar",
        )
        return g.add("unflatten", both, axis=0, sizes=(channels, 2))

    def _band(self, g: GraphBuilder, both: str, which: int) -> str:
        return g.add(
            "flatten", g.add("slice", both, axis=1, start=which, length=1), first=0, last=1
        )
