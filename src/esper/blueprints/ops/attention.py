"""Scaled dot-product attention of queries, keys and values that the graph made."""

from __future__ import annotations

from typing_extensions import override

from esper.blueprints.ops.attribute import Attribute, schema
from esper.blueprints.ops.op import Attrs, Op, ShapeError, Specs, float_axes, known, register
from esper.blueprints.ops.stock import StockCall
from esper.blueprints.tensor_spec import TensorSpec


@register
class Attention(Op):
    """`F.scaled_dot_product_attention` of (heads, S, E) queries, keys and values."""

    name = "attention"
    summary = "Scaled dot-product attention of queries, keys and values (heads, S, E)"
    attributes = schema(causal=Attribute(kind=bool, default=False))
    arity = (3, 3)

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        query, key, value = inputs
        for spec in inputs:
            float_axes(spec, 3)
            if spec.rank != 3:
                raise ShapeError(f"needs (heads, S, E) per sample, not {spec}")
        same_heads = query.shape[0] == key.shape[0] == value.shape[0]
        if not same_heads or query.shape[2] != key.shape[2] or key.shape[1] != value.shape[1]:
            raise ShapeError(f"cannot join queries {query}, keys {key} and values {value}")
        known(query, 2)
        return value.with_shape((query.shape[0], query.shape[1], known(value, 2)))

    @override
    def flops(self, inputs: Specs, output: TensorSpec, attrs: Attrs) -> int:
        query, key, value = inputs
        scores = known(query, 0) * known(query, 1) * known(key, 1)
        return 2 * scores * (known(query, 2) + known(value, 2))

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockCall:
        name = "functional.scaled_dot_product_attention"
        return StockCall(name, keywords={"is_causal": attrs["causal"]})
