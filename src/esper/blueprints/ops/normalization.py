"""Normalisations."""

from __future__ import annotations

from typing_extensions import override

from esper.blueprints.ops.attribute import Attribute, schema
from esper.blueprints.ops.op import Attrs, Op, ShapeError, Specs, float_axes, known, register
from esper.blueprints.ops.stock import StockModule, Weight
from esper.blueprints.tensor_spec import TensorSpec

EPS = Attribute(kind=float, default=1e-5, low=0, high=1)
AFFINE = Attribute(kind=bool, default=True)


def _last(spec: TensorSpec, count: int) -> tuple[int, ...]:
    float_axes(spec, count)
    return tuple(known(spec, axis) for axis in range(spec.rank - count, spec.rank))


def _each_channel(spec: TensorSpec) -> dict[str, Weight]:
    return dict.fromkeys(("weight", "bias"), Weight((known(spec, 0),)))


@register
class LayerNorm(Op):
    """`nn.LayerNorm` over the last axes."""

    name = "layer_norm"
    summary = "Zero mean and unit variance over the last `axes` axes (nn.LayerNorm)"
    attributes = schema(
        axes=Attribute(kind=int, default=1, high=8),
        eps=EPS,
        affine=AFFINE,
        bias=Attribute(kind=bool, default=True),
    )

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        _last(inputs[0], attrs["axes"])
        return inputs[0]

    @override
    def weights(self, inputs: Specs, attrs: Attrs) -> dict[str, Weight]:
        names = ["weight", "bias"] if attrs["bias"] else ["weight"]
        shape = _last(inputs[0], attrs["axes"])
        return {name: Weight(shape) for name in names if attrs["affine"]}

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockModule:
        words = {"normalized_shape": _last(inputs[0], attrs["axes"]), "bias": attrs["bias"]}
        return StockModule(
            "LayerNorm", {**words, "eps": attrs["eps"], "elementwise_affine": attrs["affine"]}
        )


@register
class RMSNorm(Op):
    """`nn.RMSNorm` over the last axes."""

    name = "rms_norm"
    summary = "Unit root mean square over the last `axes` axes (nn.RMSNorm)"
    attributes = schema(
        axes=Attribute(kind=int, default=1, high=8),
        eps=Attribute(kind=float, default=None, low=0, high=1, optional=True),
        affine=AFFINE,
    )

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        _last(inputs[0], attrs["axes"])
        return inputs[0]

    @override
    def weights(self, inputs: Specs, attrs: Attrs) -> dict[str, Weight]:
        return {"weight": Weight(_last(inputs[0], attrs["axes"]))} if attrs["affine"] else {}

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockModule:
        shape = _last(inputs[0], attrs["axes"])
        words = {"eps": attrs["eps"], "elementwise_affine": attrs["affine"]}
        return StockModule("RMSNorm", {"normalized_shape": shape, **words})


@register
class GroupNorm(Op):
    """`nn.GroupNorm`: the first axis holds the channels."""

    name = "group_norm"
    summary = "Zero mean and unit variance over groups of channels (nn.GroupNorm)"
    attributes = schema(groups=Attribute(kind=int), eps=EPS, affine=AFFINE)

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        channels = known(float_axes(inputs[0], 1), 0)
        if channels % attrs["groups"]:
            raise ShapeError(f"has {attrs['groups']} groups, which must divide {channels} channels")
        return inputs[0]

    @override
    def weights(self, inputs: Specs, attrs: Attrs) -> dict[str, Weight]:
        return _each_channel(inputs[0]) if attrs["affine"] else {}

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockModule:
        words = {"num_groups": attrs["groups"], "num_channels": known(inputs[0], 0)}
        return StockModule("GroupNorm", {**words, "eps": attrs["eps"], "affine": attrs["affine"]})


class _BatchNorm(Op):
    """What the batch norms share: the first axis holds the channels."""

    attributes = schema(
        eps=EPS,
        momentum=Attribute(kind=float, default=0.1, low=0, high=1, optional=True),
        affine=AFFINE,
        track_running_stats=Attribute(kind=bool, default=True),
    )
    ranks: tuple[int, ...]
    layer: str

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec = float_axes(inputs[0], 1)
        if spec.rank not in self.ranks:
            ranks = " or ".join(map(str, self.ranks))
            raise ShapeError(f"needs {ranks} axes per sample, not {spec}")
        known(spec, 0)
        return spec

    @override
    def weights(self, inputs: Specs, attrs: Attrs) -> dict[str, Weight]:
        found = _each_channel(inputs[0]) if attrs["affine"] else {}
        if attrs["track_running_stats"]:
            measured = Weight((known(inputs[0], 0),), is_parameter=False)
            found |= {"running_mean": measured, "running_var": measured}
            found["num_batches_tracked"] = Weight((), "int64", is_parameter=False)
        return found

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockModule:
        return StockModule(self.layer, {"num_features": known(inputs[0], 0), **attrs})


@register
class BatchNorm1d(_BatchNorm):
    """`nn.BatchNorm1d` over (C,) or (C, L)."""

    name = "batch_norm1d"
    summary = "Normalisation of each channel over the batch, for (C,) or (C, L) (nn.BatchNorm1d)"
    ranks = (1, 2)
    layer = "BatchNorm1d"


@register
class BatchNorm2d(_BatchNorm):
    """`nn.BatchNorm2d` over (C, H, W)."""

    name = "batch_norm2d"
    summary = "Normalisation of each channel over the batch, for (C, H, W) (nn.BatchNorm2d)"
    ranks = (3,)
    layer = "BatchNorm2d"
