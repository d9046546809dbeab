"""Dense ops: linear maps of the last axis, embeddings, and learned scales and offsets."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn
from typing_extensions import override

from esper.blueprints.ops.attribute import Attribute, schema
from esper.blueprints.ops.initial import CHOICES, initialise
from esper.blueprints.ops.op import (
    Attrs,
    ModuleOp,
    Op,
    ShapeError,
    Specs,
    float_axes,
    known,
    register,
)
from esper.blueprints.tensor_spec import TensorSpec


@register
class Linear(ModuleOp):
    """`nn.Linear` over the last axis."""

    name = "linear"
    summary = "Linear map of the last axis (nn.Linear)"
    attributes = schema(
        out_features=Attribute(kind=int),
        bias=Attribute(kind=bool, default=True),
        init=Attribute(kind=str, default="default", choices=CHOICES),
    )

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec = float_axes(inputs[0], 1)
        known(spec, -1)
        if attrs["init"] in ("fourier", "haar"):
            raise ShapeError(f"has no initialisation {attrs['init']!r}: it is for convolutions")
        return spec.with_shape((*spec.shape[:-1], attrs["out_features"]))

    @override
    def module(self, inputs: Specs, attrs: Attrs) -> nn.Module:
        layer = nn.Linear(known(inputs[0], -1), attrs["out_features"], bias=attrs["bias"])
        return initialise(layer, attrs["init"])

    @override
    def flops(self, inputs: Specs, output: TensorSpec, attrs: Attrs) -> int:
        return 2 * known(inputs[0], -1) * output.elements


@register
class Embedding(ModuleOp):
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
    def module(self, inputs: Specs, attrs: Attrs) -> nn.Module:
        table = nn.Embedding(
            attrs["num_embeddings"],
            attrs["embedding_dim"],
            padding_idx=attrs["padding_idx"],
            max_norm=attrs["max_norm"],
        )
        return initialise(table, attrs["init"])


class _Learned(Op):
    """An op with one bare parameter that meets its input elementwise."""

    arity = (1, 1)

    def shape(self, inputs: Specs, attrs: Attrs) -> tuple[int, ...]:
        """Return the parameter's shape."""
        raise NotImplementedError

    def initial(self, shape: tuple[int, ...], attrs: Attrs) -> torch.Tensor:
        """Return the parameter's first value."""
        raise NotImplementedError

    join: Any
    """The elementwise function."""

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec = float_axes(inputs[0], 1)
        self.shape(inputs, attrs)
        return spec

    @override
    def tensors(self, inputs: Specs, attrs: Attrs) -> dict[str, torch.Tensor]:
        shape = self.shape(inputs, attrs)
        return {"weight": nn.Parameter(torch.empty(shape, device="meta"))}

    @override
    def emit(
        self,
        graph: fx.Graph,
        root: dict[str, Any],
        name: str,
        sources: Sequence[fx.Node],
        inputs: Specs,
        attrs: Attrs,
    ) -> fx.Node:
        target = f"{name}.weight"
        root[target] = nn.Parameter(self.initial(self.shape(inputs, attrs), attrs))
        return graph.call_function(type(self).join, (sources[0], graph.get_attr(target)))


@register
class Scale(_Learned):
    """LayerScale: one learned factor for each index of an axis."""

    name = "scale"
    summary = "Learned factor for each feature or channel (LayerScale, Touvron et al. 2021, eq. 8)"
    attributes = schema(
        axis=Attribute(kind=int, default=-1, low=-8, high=8),
        value=Attribute(kind=float, default=1.0, low=-1e6, high=1e6),
    )
    join = staticmethod(operator.mul)

    @override
    def shape(self, inputs: Specs, attrs: Attrs) -> tuple[int, ...]:
        rank, axis = inputs[0].rank, attrs["axis"]
        if not -rank <= axis < rank:
            raise ShapeError(f"has axis {axis}, but its input {inputs[0]} has {rank} axes")
        axis %= rank
        return (known(inputs[0], axis), *(1,) * (rank - axis - 1))

    @override
    def initial(self, shape: tuple[int, ...], attrs: Attrs) -> torch.Tensor:
        return torch.full(shape, attrs["value"])


@register
class Offset(_Learned):
    """A learned value for each place, such as a position embedding."""

    name = "offset"
    summary = "Learned value added at each place of the sample, such as a position embedding"
    attributes = schema(deviation=Attribute(kind=float, default=0.02, low=0, high=1e3))
    join = staticmethod(operator.add)

    @override
    def shape(self, inputs: Specs, attrs: Attrs) -> tuple[int, ...]:
        return tuple(known(inputs[0], axis) for axis in range(inputs[0].rank))

    @override
    def initial(self, shape: tuple[int, ...], attrs: Attrs) -> torch.Tensor:
        return torch.empty(shape).normal_(0.0, attrs["deviation"])
