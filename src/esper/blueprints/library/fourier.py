"""Fourier front end: cosine coefficients and their power, learnable from there on."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import (
    convolve,
    enter,
    is_signal,
    last,
    norm_relu,
    pooled,
    width,
)
from esper.contracts.enums import KernelMode


@family(
    "fourier", "Learnable cosine transform of a flat signal; coefficients and log power, linear map"
)
class Fourier(Family):
    """The transform starts as the orthonormal DCT-II (Ahmed et al. 1974, eq. 1)."""

    sizes = sizes(medium=0.5, small=0.25, large=1.0)
    order = 14

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_signal(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        length = width(geometry.input_shape[0])
        orders = max(4, int(length * size))
        waves = g.add("linear", "x", out_features=orders, bias=False, init="dct")
        power = g.add("log1p", g.add("square", waves))
        features = g.add("batch_norm1d", g.add("concat", waves, power))
        returned = width(geometry.output_shape[0])
        return g.add("linear", features, out_features=returned, init=last(mode))


@family("spectrogram", "Learnable windowed waves slid over a flat signal; log power, pooled")
class Spectrogram(Family):
    """Pairs of Hann-windowed cosines and sines: their power does not move with the signal."""

    sizes = sizes(small=(8, 9), medium=(16, 13), large=(24, 17))
    order = 20

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_signal(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        waves, window = size
        signal = enter(g, geometry)
        both = convolve(g, signal, 2 * waves, window, stride=2, bias=False, init="fourier")
        squared = g.add("unflatten", g.add("square", both), axis=0, sizes=(2, waves))
        halves = [g.add("slice", squared, axis=0, start=half, length=1) for half in range(2)]
        power = g.add("log1p", g.add("add", *halves))
        mixed = convolve(g, g.add("flatten", power, first=0, last=1), 2 * waves, 3, bias=False)
        vector = pooled(g, norm_relu(g, mixed), "mean-max")
        returned = width(geometry.output_shape[0])
        return g.add("linear", vector, out_features=returned, init=last(mode))
