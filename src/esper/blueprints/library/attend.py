"""Self-attention as a few steps of a graph."""

from __future__ import annotations

from esper.blueprints.builder import GraphBuilder


def attend(
    g: GraphBuilder,
    source: str,
    inner: int,
    *,
    heads: int,
    causal: bool,
    out: int,
    bias: bool = True,
    key_bias: bool = True,
    init: str = "default",
) -> str:
    """Add self-attention over (S, F): projections, attention by heads, and an output layer.

    Vaswani et al. 2017, section 3.2.2. `inner` must be a multiple of `heads`; `init` is the output
    layer's. A bias on the keys shifts all scores of a query alike, which softmax ignores: it gets no
    gradient, and `key_bias` is there only to copy layers that have one.
    """
    parts = []
    for role in ("query", "key", "value"):
        offset = bias and (key_bias or role != "key")
        flat = g.add("linear", source, out_features=inner, bias=offset, init="xavier")
        split = g.add("unflatten", flat, sizes=(heads, inner // heads))
        parts.append(g.add("permute", split, order=(1, 0, 2)))
    mixed = g.add("permute", g.add("attention", *parts, causal=causal), order=(1, 0, 2))
    joined = g.add("flatten", mixed, first=1)
    return g.add("linear", joined, out_features=out, bias=bias, init=init)
