"""FLOPs: predicted = counted = by the formulas, for every host, blueprint and quick-start model.

One counter serves ledger, races, cost checks and reports; here it is held to the arithmetic, forward
and backward.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from esper.blueprints.build import build
from esper.blueprints.flops import counting, measured_flops
from esper.blueprints.library.catalog import candidates, control
from esper.contracts.enums import Layout
from esper.core.model_wrapper import wrap
from esper.data.catalog import MODELS
from esper.orchestration.blueprint_registry import BlueprintRegistry
from esper.orchestration.compute_ledger import Ledger
from esper.orchestration.growth_config import GrowthConfig, GrowthLimits
from esper.orchestration.proposals import Stand, propose
from esper.orchestration.strategies import Replace
from support.analytic_flops import analytic, first_states
from support.places import PLACES, geometry_at

# PyTorch's own remark on the host; its control pads by itself.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
BATCH = 4
SHAPES = {"mnist1d-mlp": (40,), "digits-mlp": (64,), "breast-cancer-mlp": (30,)}
IMAGES = {"fashion-mnist": (1, 28, 28), "cifar": (3, 32, 32)}


class Recurrent(nn.Module):
    """A classifier of sequences."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(layer.hidden_size * (1 + layer.bidirectional), 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.layer(x)[0][:, -1])
        return out


def trained(module: nn.Module, x: Tensor) -> int:
    with counting() as counter:
        torch.autograd.backward([module(x).sum()])
    return int(counter.get_total_flops())


TEXT = {"vocabulary": 73, "context": 64}


def quick_start(name: str) -> tuple[nn.Module, Tensor]:
    model = MODELS.lookup(name)(**TEXT if name == "text-transformer" else {})
    if name == "text-transformer":
        return model, torch.randint(0, 73, (BATCH, 64))
    shape = SHAPES.get(name) or next(s for n, s in IMAGES.items() if name.startswith(n))
    return model, torch.randn(BATCH, *shape)


def others() -> dict[str, tuple[nn.Module, Tensor]]:
    x = torch.randn(BATCH, 12, 6)
    return {
        "lstm": (Recurrent(nn.LSTM(6, 8, 2, batch_first=True)), x),
        "lstm, both ways": (Recurrent(nn.LSTM(6, 8, batch_first=True, bidirectional=True)), x),
        "gru": (Recurrent(nn.GRU(6, 8, 2, batch_first=True)), x),
    }


@pytest.mark.parametrize("name", [*MODELS, *others()])
def test_the_ledger_books_what_a_model_costs_by_its_formulas(name: str) -> None:
    model, x = others()[name] if name in others() else quick_start(name)
    forward, training = analytic(model, x)
    ledger = Ledger(model, x, torch.zeros(BATCH), lambda out, _: out.float().sum())
    assert ledger.forward_flops == forward / BATCH > 0
    assert ledger.step_flops == training / BATCH
    assert ledger.evaluation == forward + training  # the measuring itself


@pytest.mark.parametrize("description", PLACES)
def test_a_host_costs_what_is_foretold_counted_and_said_by_its_formulas(description: str) -> None:
    model, x = PLACES[description].model(), PLACES[description].example()
    forward, training = analytic(model, x)
    assert control(geometry_at(description)).cost.flops * len_of(description, x) == forward
    assert measured_flops(model, x) == forward
    if any(p.requires_grad for p in model.parameters()):
        assert trained(model, x) == training
    if x.is_floating_point():
        x.requires_grad_()
        assert trained(model, x) == analytic(model, x)[1]


def len_of(description: str, x: Tensor) -> int:
    return x.shape[geometry_at(description).batch_axis]


@pytest.mark.parametrize("description", PLACES)
def test_a_blueprint_costs_what_is_foretold_and_three_times_that_in_training(
    description: str,
) -> None:
    geometry = geometry_at(description)
    shape = (BATCH, *geometry.cost_shape)
    for entry in candidates(geometry):
        kernel = build(entry.ir, seed=0)
        ids = geometry.layout is Layout.IDS
        x = torch.ones(shape, dtype=torch.long) if ids else torch.randn(shape, requires_grad=True)
        assert measured_flops(kernel, x) == BATCH * entry.cost.flops, entry.label
        # Attention by plain products: its own kernel finds the scores once more on the way back.
        with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
            found = trained(kernel, x) + first_states(kernel, BATCH)
        assert found == 3 * BATCH * entry.cost.flops, entry.label


def test_a_fused_encoder_layer_costs_what_its_parts_do() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(BATCH, 12, 8)
    positions = BATCH * 12
    by_hand = 2 * positions * (4 * 8 * 8 + 2 * 8 * 16) + 4 * positions * 12 * 8
    with torch.no_grad():
        assert measured_flops(layer, x) == by_hand
        assert torch.backends.mha.get_fastpath_enabled()


def test_attention_on_the_cpu_finds_its_scores_once_more_on_the_way_back() -> None:
    q = torch.randn(BATCH, 2, 6, 4, requires_grad=True)
    product = 2 * BATCH * 2 * 6 * 6 * 4
    with counting() as counter:
        out = nn.functional.scaled_dot_product_attention(q, q, q)
        assert counter.get_total_flops() == 2 * product
        torch.autograd.backward([out.sum()])
    assert counter.get_total_flops() == (2 + 5) * product


def test_matrix_vector_products_count() -> None:
    with counting() as counter:
        torch.mv(torch.ones(3, 5), torch.ones(5))
        torch.dot(torch.ones(7), torch.ones(7))
        torch.addmv(torch.ones(3), torch.ones(3, 5), torch.ones(5))
    assert counter.get_total_flops() == 2 * (15 + 7 + 15)


def lstm_stand(limit: float | None) -> tuple[Stand, GrowthConfig, Any]:
    """An LSTM model in the books, and its recurrent layer's geometry."""
    model, x = others()["lstm"]
    ledger = Ledger(model, x, torch.zeros(BATCH), lambda out, _: out.sum())
    wrapped = wrap(model, [nn.LSTM], example_input=x)
    stand = Stand(
        parameters=sum(p.numel() for p in wrapped.parameters()),
        forward_flops=ledger.forward_flops,
        step_flops=ledger.step_flops,
        static_step_flops=ledger.static_step_flops,
        spent=0.0,
        remaining=1.0,
    )
    config = GrowthConfig(limits=GrowthLimits(max_flops=limit), max_entrants=99)
    return stand, config, wrapped.layer("layer").geometry


def proposed(limit: float | None) -> dict[str, float]:
    stand, config, geometry = lstm_stand(limit)
    found = propose({"layer": geometry}, Replace(), BlueprintRegistry(), stand, config)
    return {
        p.standing.candidate: stand.forward_flops + p.extra_flops
        for p in found
        if p.standing.family != "control"
    }


def test_with_an_lstm_host_every_candidate_has_a_price_and_a_limit_trims() -> None:
    every = proposed(None)
    assert len(every) > 3
    assert min(every.values()) > 0
    limit = sorted(every.values())[len(every) // 2]
    allowed = proposed(limit)
    assert allowed == {name: flops for name, flops in every.items() if flops <= limit}
    assert 0 < len(allowed) < len(every)
