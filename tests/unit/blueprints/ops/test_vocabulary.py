from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from esper.blueprints.build import build
from esper.blueprints.builder import GraphBuilder
from esper.blueprints.cost import cost
from esper.blueprints.flops import measured_flops
from esper.blueprints.graph_weights import state_weights
from esper.blueprints.ops.stock import Weight
from esper.blueprints.ops.vocabulary import VOCABULARY
from esper.contracts.errors import BlueprintError

VECTOR, TOKENS, IMAGE = (8,), (5, 8), (4, 7, 6)
USES: dict[str, list[tuple[tuple[int, ...], dict[str, Any]]]] = {
    "attention": [((2, 5, 4), {"causal": True})],
    "conv1d": [
        (TOKENS, {"out_channels": 10, "kernel_size": 3, "stride": 2, "groups": 5}),
        (TOKENS, {"out_channels": 4, "kernel_size": 3, "padding": 2, "padding_mode": "circular"}),
    ],
    "conv2d": [
        (IMAGE, {"out_channels": 6, "kernel_size": (3, 2), "dilation": (2, 1), "groups": 2}),
        (IMAGE, {"out_channels": 6, "kernel_size": (3, 3), "padding": (1, 1), "bias": False}),
    ],
    "linear": [(VECTOR, {"out_features": 3}), (IMAGE, {"out_features": 3, "bias": False})],
    "scale": [(IMAGE, {"axis": 0, "value": 0.5}), (VECTOR, {})],
    "offset": [(TOKENS, {})],
    "layer_norm": [(IMAGE, {"axes": 2}), (VECTOR, {"affine": False}), (VECTOR, {"bias": False})],
    "rms_norm": [(TOKENS, {}), (TOKENS, {"affine": False})],
    "group_norm": [(IMAGE, {"groups": 2})],
    "batch_norm1d": [(VECTOR, {}), (TOKENS, {"momentum": None})],
    "batch_norm2d": [(IMAGE, {"track_running_stats": False})],
    "max_pool1d": [(TOKENS, {"kernel_size": 3, "stride": 2, "padding": 1})],
    "max_pool2d": [(IMAGE, {"kernel_size": 2, "stride": 2})],
    "avg_pool1d": [(TOKENS, {"kernel_size": 3, "stride": 2})],
    "avg_pool2d": [(IMAGE, {"kernel_size": 3, "stride": 1, "padding": 1})],
    "mean": [(IMAGE, {"axes": 2}), (IMAGE, {"axes": 2, "keep": True})],
    "amax": [(IMAGE, {"axes": 1})],
    "gru": [
        (TOKENS, {"hidden_size": 3}),
        (TOKENS, {"hidden_size": 3, "num_layers": 2, "bidirectional": True, "bias": False}),
    ],
    "lstm": [
        (TOKENS, {"hidden_size": 3}),
        (TOKENS, {"hidden_size": 3, "num_layers": 2, "bidirectional": True, "proj_size": 2}),
    ],
    "dropout1d": [(TOKENS, {})],
    "dropout2d": [(IMAGE, {})],
    "log1p": [(VECTOR, {})],
    "flatten": [(IMAGE, {}), (IMAGE, {"first": 1}), (IMAGE, {"first": 0, "last": 1})],
    "unflatten": [(VECTOR, {"sizes": (2, 2, 2)}), (TOKENS, {"axis": 1, "sizes": (4, 2)})],
    "permute": [(IMAGE, {"order": (2, 0, 1)})],
    "slice": [(TOKENS, {"start": 2, "length": 3}), (TOKENS, {"axis": 0, "length": 1})],
    "pad": [(TOKENS, {"widths": (2, 0)}), (IMAGE, {"widths": (1, 0, 0, 3)})],
}
"""Uses of each op that needs attributes or a certain shape; others take tokens as they are."""
SKIPPED = {"embedding"}
CASES = [
    (name, shape, attrs)
    for name in VOCABULARY
    if name not in SKIPPED
    for shape, attrs in USES.get(name, [(TOKENS, {})])
]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("name", "shape", "attrs"), CASES)
def test_an_op_computes_what_it_predicts(
    name: str, shape: tuple[int, ...], attrs: dict[str, Any]
) -> None:
    g = GraphBuilder(shape)
    sources = ["x"] * VOCABULARY[name].arity[0]
    ir = g.finish(g.add(name, *sources, **attrs))
    kernel = build(ir, seed=0)
    x = torch.rand(3, *shape)
    assert kernel(x).shape == (3, *ir.output_spec.shape)
    assert measured_flops(kernel, x) == 3 * cost(ir).flops
    assert sum(p.numel() for p in kernel.parameters()) == cost(ir).parameters
    assert state_weights(ir) == described(kernel)


def described(kernel: nn.Module) -> dict[str, Weight]:
    return {
        name: Weight(tuple(t.shape), str(t.dtype)[len("torch.") :], isinstance(t, nn.Parameter))
        for name, t in kernel.state_dict(keep_vars=True).items()
    }


def test_an_embedding_reads_ids_and_no_other_op_does() -> None:
    g = GraphBuilder((5,), "int64")
    ir = g.finish(g.add("embedding", "x", num_embeddings=9, embedding_dim=3, padding_idx=0))
    kernel = build(ir)
    assert kernel(torch.zeros(2, 5, dtype=torch.int64)).shape == (2, 5, 3)
    assert state_weights(ir) == described(kernel)
    with pytest.raises(BlueprintError, match="embed the integers first"):
        GraphBuilder((5,), "int64").add("linear", "x", out_features=2)
    with pytest.raises(BlueprintError, match="takes int64 ids"):
        GraphBuilder((5,)).add("embedding", "x", num_embeddings=9, embedding_dim=3)


@pytest.mark.parametrize(
    ("name", "shape", "attrs", "message"),
    [
        ("conv1d", TOKENS, {"out_channels": 4, "kernel_size": 3, "groups": 3}, "3 groups"),
        ("conv1d", TOKENS, {"out_channels": 4, "kernel_size": 99}, "wider than its axis"),
        ("conv1d", TOKENS, {"out_channels": 4, "kernel_size": 3, "init": "haar"}, "size of 2"),
        ("conv2d", IMAGE, {"out_channels": 4, "kernel_size": 3}, "2 integers"),
        ("linear", VECTOR, {"out_features": 4, "init": "haar"}, "for convolutions"),
        ("group_norm", IMAGE, {"groups": 3}, "must divide 4 channels"),
        ("batch_norm2d", TOKENS, {}, "needs 3 axes"),
        ("gru", VECTOR, {"hidden_size": 4}, "at least 2 axes"),
        ("gru", TOKENS, {"hidden_size": 4, "dropout": 0.5}, "single layer"),
        ("lstm", TOKENS, {"hidden_size": 4, "proj_size": 4}, "proj_size"),
        ("max_pool1d", TOKENS, {"kernel_size": 2, "stride": 1, "padding": 2}, "half"),
        ("mean", VECTOR, {"axes": 2}, "at least 2 axes"),
        ("permute", IMAGE, {"order": (0, 1, 1)}, "each axis"),
        ("slice", VECTOR, {"start": 5, "length": 4}, "more than"),
        ("pad", VECTOR, {"widths": (1, 2, 3)}, "two for each axis"),
        ("scale", VECTOR, {"axis": 1}, "has 1 axes"),
        ("flatten", IMAGE, {"first": 2, "last": 0}, "back to axis"),
        ("attention", TOKENS, {}, "needs at least 3 axes"),
    ],
)
def test_an_op_refuses_what_it_cannot_take(
    name: str, shape: tuple[int, ...], attrs: dict[str, Any], message: str
) -> None:
    g = GraphBuilder(shape)
    with pytest.raises(BlueprintError, match=message):
        g.add(name, *["x"] * VOCABULARY[name].arity[0], **attrs)


def test_sums_broadcast_over_axes_of_one_and_refuse_others() -> None:
    g = GraphBuilder((4, 6))
    mean = g.add("mean", "x", keep=True)
    assert g.shape(g.add("mul", "x", mean)) == (4, 6)
    with pytest.raises(BlueprintError, match="equal or 1"):
        g.add("add", "x", g.add("mean", "x"))
