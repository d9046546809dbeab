"""Dense ops: linear maps of the last axis, embeddings, and learned scales and offsets."""

from __future__ import annotations

from typing_extensions import override

from esper.blueprints.ops.attribute import Attribute, schema
from esper.blueprints.ops.op import Attrs, Op, ShapeError, Specs, float_axes, known, register
from esper.blueprints.ops.stock import INITIAL, LearnedValue, StockModule, Weight
from esper.blueprints.tensor_spec import TensorSpec


@register
class Linear(Op):
    """`nn.Linear` over the last axis."""

    name = "linear"
    summary = "Linear map of the last axis (nn.Linear)"
    attributes = schema(
        out_features=Attribute(kind=int),
        bias=Attribute(kind=bool, default=True),
        init=Attribute(kind=str, default="default", choices=INITIAL),
    )

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec = float_axes(inputs[0], 1)
        known(spec, -1)
        if attrs["init"] in ("fourier", "haar"):
            raise ShapeError(f"has no initialisation {attrs['init']!r}: it is for convolutions")
        return spec.with_shape((*spec.shape[:-1], attrs["out_features"]))

    @override
    def weights(self, inputs: Specs, attrs: Attrs) -> dict[str, Weight]:
        out = attrs["out_features"]
        bias = {"bias": Weight((out,))} if attrs["bias"] else {}
        return {"weight": Weight((out, known(inputs[0], -1))), **bias}

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockModule:
        words = {"out_features": attrs["out_features"], "bias": attrs["bias"]}
        return StockModule("Linear", {"in_features": known(inputs[0], -1), **words}, attrs["init"])

    @override
    def flops(self, inputs: Specs, output: TensorSpec, attrs: Attrs) -> int:
        return 2 * known(inputs[0], -1) * output.elements


@register
class Embedding(Op):
    """`nn.Embedding` of integer ids."""

    name = "embedding"
    summary = "Table of learned vectors, looked up by integer id (nn.Embedding)"
    attributes = schema(
        num_embeddings=Attribute(kind=int),
        embedding_dim=Attribute(kind=int),
        padding_idx=Attribute(kind=int, default=None, low=0, optional=True),
        max_norm=Attribute(kind=float, default=None, low=0, optional=True),
        init=Attribute(kind=str, default="default", choices=("default", "zero", "xavier")),
    )

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        if inputs[0].is_float:
            raise ShapeError(f"takes int64 ids, not floating-point values of shape {inputs[0]}")
        padding = attrs["padding_idx"]
        if padding is not None and padding >= attrs["num_embeddings"]:
            raise ShapeError(f"has padding_idx {padding}, which is not below num_embeddings")
        return TensorSpec((*inputs[0].shape, attrs["embedding_dim"]))

    @override
    def weights(self, inputs: Specs, attrs: Attrs) -> dict[str, Weight]:
        return {"weight": Weight((attrs["num_embeddings"], attrs["embedding_dim"]))}

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockModule:
        words = {word: value for word, value in attrs.items() if word != "init"}
        return StockModule("Embedding", words, attrs["init"])


class _Learned(Op):
    """An op with one bare parameter that meets its input elementwise."""

    arity = (1, 1)

    def shape(self, inputs: Specs, attrs: Attrs) -> tuple[int, ...]:
        """Return the parameter's shape."""
        raise NotImplementedError

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec = float_axes(inputs[0], 1)
        self.shape(inputs, attrs)
        return spec

    @override
    def weights(self, inputs: Specs, attrs: Attrs) -> dict[str, Weight]:
        return {"weight": Weight(self.shape(inputs, attrs))}


@register
class Scale(_Learned):
    """LayerScale: one learned factor for each index of an axis."""

    name = "scale"
    summary = "Learned factor for each feature or channel (LayerScale, Touvron et al. 2021, eq. 8)"
    attributes = schema(
        axis=Attribute(kind=int, default=-1, low=-8, high=8),
        value=Attribute(kind=float, default=1.0, low=-1e6, high=1e6),
    )

    @override
    def shape(self, inputs: Specs, attrs: Attrs) -> tuple[int, ...]:
        rank, axis = inputs[0].rank, attrs["axis"]
        if not -rank <= axis < rank:
            raise ShapeError(f"has axis {axis}, but its input {inputs[0]} has {rank} axes")
        axis %= rank
        return (known(inputs[0], axis), *(1,) * (rank - axis - 1))

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> LearnedValue:
        return LearnedValue("operator.mul", self.shape(inputs, attrs), mean=attrs["value"])


@register
class Offset(_Learned):
    """A learned value for each place, such as a position embedding."""

    name = "offset"
    summary = "Learned value added at each place of the sample, such as a position embedding"
    attributes = schema(deviation=Attribute(kind=float, default=0.02, low=0, high=1e3))

    @override
    def shape(self, inputs: Specs, attrs: Attrs) -> tuple[int, ...]:
        return tuple(known(inputs[0], axis) for axis in range(inputs[0].rank))

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> LearnedValue:
        shape = self.shape(inputs, attrs)
        return LearnedValue("operator.add", shape, deviation=attrs["deviation"])
