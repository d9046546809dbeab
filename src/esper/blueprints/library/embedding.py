"""Embeddings in fewer numbers, or that see more than one id."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import convolve, last, width
from esper.contracts.enums import KernelMode, Layout


def is_ids(geometry: Geometry) -> bool:
    """Whether the layer looks ids up in a table of known size."""
    one_more = len(geometry.output_shape) == len(geometry.input_shape) + 1
    return geometry.layout is Layout.IDS and geometry.vocabulary is not None and one_more


def table(g: GraphBuilder, geometry: Geometry, features: int) -> str:
    """Add an embedding table of the host's vocabulary and padding."""
    padding = geometry.host_attributes.get("padding_idx")
    ids = geometry.vocabulary
    return g.add("embedding", "x", num_embeddings=ids, embedding_dim=features, padding_idx=padding)


@family("embedding-low-rank", "A thin embedding table and a linear map to the full width")
class LowRankEmbedding(Family):
    """Factorised embedding (ALBERT, Lan et al. 2020, section 3.1)."""

    sizes = sizes(medium=1 / 4, small=1 / 8, large=1 / 2)
    order = 3

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_ids(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        returned = width(geometry.output_shape[-1])
        thin = table(g, geometry, max(2, int(returned * size)))
        return g.add("linear", thin, out_features=returned, init=last(mode))


@family("embedding-mlp", "A thin embedding table and a perceptron to the full width")
class PerceptronEmbedding(Family):
    """The hidden layer lets ids share features."""

    sizes = sizes(medium=1 / 4, small=1 / 8, large=1 / 2)
    order = 5

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_ids(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        returned = width(geometry.output_shape[-1])
        thin = table(g, geometry, max(2, int(returned * size)))
        inner = g.add("gelu", g.add("linear", thin, out_features=returned))
        return g.add("linear", inner, out_features=returned, init=last(mode))


@family("embedding-context", "A thin embedding table whose vectors see a few earlier ids")
class ContextEmbedding(Family):
    """A causal depthwise convolution mixes each id with those before it (a learned n-gram)."""

    sizes = sizes(medium=3, small=2, large=5)
    order = 10

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_ids(geometry) and len(geometry.input_shape) == 1

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        returned = width(geometry.output_shape[-1])
        thin = max(2, returned // 2)
        turned = g.add("permute", table(g, geometry, thin), order=(1, 0))
        past = convolve(g, turned, thin, size, groups=thin, causal=True)
        active = g.add("gelu", g.add("permute", past, order=(1, 0)))
        return g.add("linear", active, out_features=returned, init=last(mode))
