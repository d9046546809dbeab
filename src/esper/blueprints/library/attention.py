"""Self-attention over a sequence, or over the patches of a flat signal."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.library.attend import attend
from esper.blueprints.library.family import Family, family, sizes
from esper.blueprints.library.fitting import enter, is_sequence, is_signal, last, width
from esper.contracts.enums import KernelMode


@family("self-attention", "Normalised self-attention over a sequence, causal where the model is")
class SelfAttention(Family):
    """Layer norm, then attention with a share of the width in each head."""

    sizes = sizes(medium=(1.0, 32), small=(0.5, 16), large=(1.0, 8))
    order = 8

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_sequence(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        share, per_head = size
        read, returned = width(geometry.input_shape[-1]), width(geometry.output_shape[-1])
        wanted = max(4, int(min(read, returned) * share))
        heads = max(1, wanted // per_head)
        inner = heads * (wanted // heads)
        source = g.add("layer_norm", "x")
        causal, init = geometry.causal, last(mode)
        return attend(
            g, source, inner, heads=heads, causal=causal, out=returned, key_bias=False, init=init
        )


@family("patch-attention", "Self-attention over the patches of a flat signal, pooled into a vector")
class PatchAttention(Family):
    """Patches as tokens with learned positions (Dosovitskiy et al. 2021, eq. 1 and 2)."""

    sizes = sizes(small=(16, 1), medium=(24, 2), large=(48, 4))
    order = 22

    @override
    def fits(self, geometry: Geometry) -> bool:
        return is_signal(geometry)

    @override
    def write(self, g: GraphBuilder, geometry: Geometry, size: Any, mode: KernelMode) -> str:
        wide, heads = size
        signal = enter(g, geometry)
        length = g.size(signal, 1)
        patch = max(4, length // 10)
        tokens = -(-length // patch)
        if tokens * patch > length:
            signal = g.add("pad", signal, widths=(0, tokens * patch - length))
        split = g.add("unflatten", signal, axis=1, sizes=(tokens, patch))
        turned = g.add("flatten", g.add("permute", split, order=(1, 0, 2)), first=1)
        placed = g.add("offset", g.add("linear", turned, out_features=wide))
        mixed = attend(
            g,
            g.add("layer_norm", placed),
            wide,
            heads=heads,
            causal=False,
            out=wide,
            key_bias=False,
        )
        features = g.add("permute", g.add("add", placed, mixed), order=(1, 0))
        vector = g.add("concat", g.add("mean", features), g.add("amax", features))
        returned = width(geometry.output_shape[0])
        return g.add("linear", vector, out_features=returned, init=last(mode))
