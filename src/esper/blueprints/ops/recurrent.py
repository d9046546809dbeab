"""Recurrent nets over a sequence (S, F); the sequence of outputs is returned, the state is not."""

from __future__ import annotations

from typing_extensions import override

from esper.blueprints.ops.attribute import Attribute, schema
from esper.blueprints.ops.op import Attrs, Op, ShapeError, Specs, float_axes, known, register
from esper.blueprints.ops.stock import StockModule, Weight
from esper.blueprints.tensor_spec import TensorSpec

SHARED = {
    "hidden_size": Attribute(kind=int),
    "num_layers": Attribute(kind=int, default=1, high=64),
    "bias": Attribute(kind=bool, default=True),
    "dropout": Attribute(kind=float, default=0.0, low=0, high=1),
    "bidirectional": Attribute(kind=bool, default=False),
}


class _Recurrent(Op):
    """What the recurrent nets share; `gates` is the number of maps of a cell."""

    gates: int
    layer: str

    def _width(self, attrs: Attrs) -> int:
        """Features that a cell hands on."""
        width: int = attrs.get("proj_size") or attrs["hidden_size"]
        return width

    @override
    def infer(self, inputs: Specs, attrs: Attrs) -> TensorSpec:
        spec = float_axes(inputs[0], 2)
        if spec.rank != 2:
            raise ShapeError(f"needs a sequence (S, F) per sample, not {spec}")
        known(spec, 1)
        if attrs["dropout"] and attrs["num_layers"] == 1:
            raise ShapeError("has dropout, which acts between layers only, and a single layer")
        if attrs.get("proj_size", 0) >= attrs["hidden_size"]:
            raise ShapeError("has a proj_size that is not below its hidden_size")
        return spec.with_shape((spec.shape[0], self._width(attrs) * (1 + attrs["bidirectional"])))

    @override
    def weights(self, inputs: Specs, attrs: Attrs) -> dict[str, Weight]:
        rows, width = self.gates * attrs["hidden_size"], self._width(attrs)
        directions = ("", "_reverse") if attrs["bidirectional"] else ("",)
        features, found = known(inputs[0], 1), dict[str, Weight]()
        for layer in range(attrs["num_layers"]):
            for end in (f"_l{layer}{direction}" for direction in directions):
                found[f"weight_ih{end}"] = Weight((rows, features))
                found[f"weight_hh{end}"] = Weight((rows, width))
                if attrs["bias"]:
                    found[f"bias_ih{end}"] = found[f"bias_hh{end}"] = Weight((rows,))
                if attrs.get("proj_size"):
                    found[f"weight_hr{end}"] = Weight((width, attrs["hidden_size"]))
            features = width * len(directions)
        return found

    @override
    def stock(self, inputs: Specs, attrs: Attrs) -> StockModule:
        words = {"input_size": known(inputs[0], 1), "batch_first": True}
        return StockModule(self.layer, {**words, **attrs}, part=0)

    @override
    def flops(self, inputs: Specs, output: TensorSpec, attrs: Attrs) -> int:
        steps, features = known(inputs[0], 0), known(inputs[0], 1)
        directions, hidden, width = (
            1 + attrs["bidirectional"],
            attrs["hidden_size"],
            self._width(attrs),
        )
        later = attrs["num_layers"] - 1
        gates = self.gates * hidden
        first = gates * (features + width)
        further = later * gates * (width * directions + width)
        projections = attrs["num_layers"] * hidden * attrs.get("proj_size", 0)
        total: int = 2 * steps * directions * (first + further + projections)
        return total


@register
class GRU(_Recurrent):
    """`nn.GRU`."""

    name = "gru"
    summary = "Gated recurrent units over (S, F) (nn.GRU)"
    attributes = SHARED
    gates = 3
    layer = "GRU"


@register
class LSTM(_Recurrent):
    """`nn.LSTM`."""

    name = "lstm"
    summary = "Long short-term memory over (S, F) (nn.LSTM)"
    attributes = schema(**SHARED, proj_size=Attribute(kind=int, default=0, low=0))
    gates = 4
    layer = "LSTM"
