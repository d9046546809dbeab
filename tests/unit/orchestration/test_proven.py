"""Which kernels of other runs fit a layer, and how they enter a race."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from esper.blueprints.geometry import Geometry
from esper.contracts.enums import KernelMode, Layout
from esper.core.model_wrapper import wrap
from esper.orchestration.blueprint_registry import BlueprintRegistry
from esper.orchestration.entrant import enter
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.proposals import Stand, propose
from esper.orchestration.proven import fits, fitting
from esper.orchestration.shadow import Shadow
from esper.orchestration.strategies import Replace
from support.proven_kernels import proven

STAND = Stand(
    parameters=15_210,
    forward_flops=30_000.0,
    step_flops=82_000.0,
    static_step_flops=82_000.0,
    spent=0.1,
    remaining=0.9,
)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 2))


@pytest.fixture(scope="module")
def slots() -> dict[str, Geometry]:
    model = wrap(net(), example_input=torch.randn(4, 40))
    return {n: g for n, layer in model.kasmina_layers.items() if (g := layer.geometry) is not None}


def sequence(**changes: Any) -> Geometry:
    described: dict[str, Any] = {
        "host": "linear",
        "layout": Layout.TOKENS,
        "input_shape": (None, 8),
        "output_shape": (None, 8),
        "example_shape": (6, 8),
        "host_attributes": {"in_features": 8, "out_features": 8, "bias": True},
    }
    return Geometry(**{**described, **changes})


def ids(vocabulary: int) -> Geometry:
    return Geometry(
        host="embedding",
        layout=Layout.IDS,
        input_shape=(None,),
        output_shape=(None, 8),
        vocabulary=vocabulary,
        example_shape=(6,),
        host_attributes={"num_embeddings": vocabulary, "embedding_dim": 8},
    )


def test_a_kernel_fits_the_layers_of_its_shapes_and_no_others(slots: dict[str, Geometry]) -> None:
    kernel = proven(slots["0"])
    assert fits(kernel, slots["0"])
    assert not fits(kernel, slots["2"])


def test_a_kernel_fits_only_where_its_mode_is_admitted(slots: dict[str, Geometry]) -> None:
    residual = proven(slots["0"], mode=KernelMode.RESIDUAL)
    replacing = proven(slots["0"])
    found = fitting([residual, replacing], slots["0"], [KernelMode.REPLACING])
    assert [k.kernel_id for k in found] == [replacing.kernel_id]


def test_a_kernel_that_looks_ahead_does_not_fit_a_causal_place() -> None:
    looking = proven(sequence(), "self-attention")
    careful = proven(sequence(causal=True), "self-attention")
    assert fits(looking, sequence())
    assert not fits(looking, sequence(causal=True))
    assert fits(careful, sequence(causal=True))


def test_a_kernel_that_does_not_know_every_id_does_not_fit() -> None:
    kernel = proven(ids(11), "embedding-low-rank")
    assert fits(kernel, ids(11))
    assert not fits(kernel, ids(12))


def test_a_kernel_that_calls_itself_the_control_is_refused(slots: dict[str, Geometry]) -> None:
    assert not fits(proven(slots["0"], name="control/host"), slots["0"])


def test_proven_kernels_enter_in_front_beside_fresh_ones_of_their_kind(
    slots: dict[str, Geometry],
) -> None:
    kernel = proven(slots["0"])
    found = propose(slots, Replace(), BlueprintRegistry(None, [kernel]), STAND, GrowthConfig())
    first = found[0]
    assert first.standing.kernel_id == kernel.kernel_id
    assert first.standing.candidate == "glu/small"
    assert first.standing.title == f"proven glu/small {kernel.kernel_id[:8]}"
    fresh = [p.standing for p in found if p.standing.kernel_id is None]
    assert {s.layer_name for s in fresh} == set(slots)
    assert len({p.standing.identity for p in found}) == len(found) <= GrowthConfig().max_entrants


def test_proven_kernels_pay_rent_and_keep_to_the_limits(slots: dict[str, Geometry]) -> None:
    kernel = proven(slots["0"], "conv1d", "medium")
    found = propose(slots, Replace(), BlueprintRegistry(None, [kernel]), STAND, GrowthConfig())
    assert found[0].standing.rent > 0
    registry = BlueprintRegistry(("bottleneck-mlp",), [kernel])
    assert registry.proven(slots["0"], (KernelMode.REPLACING,)) == []


def test_a_proven_kernel_begins_with_its_weights_and_draws_nothing(
    slots: dict[str, Geometry],
) -> None:
    kernel = proven(slots["0"])
    model = wrap(net(), example_input=torch.randn(4, 40))
    shadow = Shadow(model.wrapped_model, torch.randn(4, 40))
    registry = BlueprintRegistry(None, [kernel])
    proposal = propose(slots, Replace(), registry, STAND, GrowthConfig())[0]
    state = torch.get_rng_state()
    entrant = enter(
        proposal.candidate, proposal.standing, proposal.extra_flops, shadow, proposal.kernel
    )
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in entrant.kernel.state_dict().items():
        assert torch.equal(value, kernel.weights[name])
    entrant.optimizer.step()  # what is trained is a copy
    assert all(p.requires_grad for p in entrant.kernel.parameters())


def test_a_kernel_that_replaces_a_layer_does_not_fit_behind_a_module() -> None:
    behind = sequence(host="behind", host_attributes={})
    replacing = proven(sequence(), mode=KernelMode.REPLACING)
    residual = proven(sequence(), mode=KernelMode.RESIDUAL)
    assert fitting([replacing, residual], sequence(), list(KernelMode)) == [replacing, residual]
    assert fitting([replacing, residual], behind, list(KernelMode)) == [residual]
