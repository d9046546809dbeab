from __future__ import annotations

import pytest
import torch
from torch import nn

from esper.blueprints.build import build
from esper.blueprints.builder import GraphBuilder
from esper.blueprints.cost import Cost, cost
from esper.blueprints.flops import measured_flops
from esper.contracts.errors import BlueprintError


def test_a_linear_layer_costs_two_operations_for_each_multiply_accumulate() -> None:
    g = GraphBuilder((40,))
    price = cost(g.finish(g.add("linear", "x", out_features=100)))
    assert price == Cost(parameters=4100, flops=8000)
    assert price.macs == 4000


def test_an_open_axis_needs_a_shape() -> None:
    g = GraphBuilder((None, 4))
    ir = g.finish(g.add("linear", "x", out_features=2))
    with pytest.raises(BlueprintError, match=r"open axis.*input_shape"):
        cost(ir)
    assert cost(ir, (10, 4)).flops == 160
    with pytest.raises(BlueprintError):
        cost(g.finish(g.add("unflatten", "x", axis=1, sizes=(2, 2), name="two")), (10, 5))


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("lstm", {"hidden_size": 5}),
        ("lstm", {"hidden_size": 5, "num_layers": 3, "bidirectional": True, "dropout": 0.2}),
        ("lstm", {"hidden_size": 5, "num_layers": 2, "proj_size": 3, "bidirectional": True}),
        ("gru", {"hidden_size": 5, "bias": False}),
        ("gru", {"hidden_size": 5, "num_layers": 3, "bidirectional": True}),
    ],
)
def test_recurrent_nets_cost_what_is_measured(op: str, attrs: dict[str, object]) -> None:
    g = GraphBuilder((7, 4))
    ir = g.finish(g.add(op, "x", **attrs))
    kernel = build(ir, seed=0)
    assert measured_flops(kernel, torch.randn(3, 7, 4)) == 3 * cost(ir).flops
    assert cost(ir).parameters == sum(p.numel() for p in kernel.parameters())


@pytest.mark.parametrize("causal", [True, False])
def test_attention_costs_what_is_measured_with_every_backend(causal: bool) -> None:
    g = GraphBuilder((2, 6, 4))
    ir = g.finish(g.add("attention", "x", "x", "x", causal=causal))
    x = torch.randn(3, 2, 6, 4)
    for backend in (
        nn.attention.SDPBackend.MATH,
        nn.attention.SDPBackend.FLASH_ATTENTION,
    ):
        with nn.attention.sdpa_kernel(backend):
            assert measured_flops(build(ir), x) == 3 * cost(ir).flops
