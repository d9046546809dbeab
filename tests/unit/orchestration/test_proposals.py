"""Which blueprints enter a race: in turn over the slots, within the limits, controls beside."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from esper.blueprints.geometry import Geometry
from esper.contracts.enums import AdaptationStrategyName, KernelMode
from esper.contracts.growth import RaceRecord
from esper.core.model_wrapper import wrap
from esper.orchestration.blueprint_registry import BlueprintRegistry
from esper.orchestration.growth_config import GrowthConfig, GrowthLimits
from esper.orchestration.proposals import Proposal, Stand, propose
from esper.orchestration.strategies import STRATEGIES


@pytest.fixture(scope="module")
def slots() -> dict[str, Geometry]:
    net = nn.Sequential(
        nn.Linear(40, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10)
    )
    model = wrap(net, example_input=torch.randn(4, 40))
    return {n: g for n, layer in model.kasmina_layers.items() if (g := layer.geometry) is not None}


STAND = Stand(
    parameters=15_210,
    forward_flops=30_000.0,
    step_flops=82_000.0,
    static_step_flops=82_000.0,
    spent=0.1,
    remaining=0.9,
)


def proposals(
    slots: dict[str, Geometry],
    *,
    strategy: AdaptationStrategyName = AdaptationStrategyName.REPLACE,
    registry: BlueprintRegistry | None = None,
    **settings: Any,
) -> list[Proposal]:
    config = GrowthConfig(**settings)
    chosen = STRATEGIES.lookup(strategy)()
    return propose(slots, chosen, registry or BlueprintRegistry(config.families), STAND, config)


def test_every_slot_that_races_has_its_control(slots: dict[str, Geometry]) -> None:
    found = proposals(slots)
    assert len(found) <= GrowthConfig().max_entrants
    raced = {p.standing.layer_name for p in found if p.standing.family != "control"}
    controls = [p.standing.layer_name for p in found if p.standing.family == "control"]
    assert raced == set(slots) == set(controls)
    assert len(controls) == len(raced)


def test_a_smaller_field_takes_from_every_slot_in_turn(slots: dict[str, Geometry]) -> None:
    found = proposals(slots, max_entrants=4)
    assert [p.standing.layer_name for p in found] == ["0", "2", "0", "2"]


def test_a_control_costs_nothing_extra_and_owes_no_rent(slots: dict[str, Geometry]) -> None:
    for proposal in proposals(slots):
        if proposal.standing.family == "control":
            assert (proposal.extra_parameters, proposal.extra_flops) == (0, 0.0)
            assert proposal.standing.rent == 0.0


def test_what_overruns_a_limit_does_not_compete(slots: dict[str, Geometry]) -> None:
    tight = GrowthLimits(max_parameters=STAND.parameters)
    assert all(p.extra_parameters <= 0 for p in proposals(slots, limits=tight, max_entrants=99))
    lean = GrowthLimits(max_flops=STAND.forward_flops)
    assert all(p.extra_flops <= 0 for p in proposals(slots, limits=lean, max_entrants=99))
    free = proposals(slots, limits=GrowthLimits(max_compute=None), max_entrants=99)
    bounded = GrowthLimits(max_compute=3.0, compute_floor=1.0)
    few = proposals(slots, limits=bounded, max_entrants=99)
    assert 0 < len(few) < len(free)


def test_only_named_families_compete(slots: dict[str, Geometry]) -> None:
    found = proposals(slots, families=("conv1d",), max_entrants=99)
    assert {p.standing.family for p in found} == {"conv1d", "control"}
    assert {p.standing.layer_name for p in found} == {"0"}


def test_families_that_a_controller_names_get_the_places_of_the_field(
    slots: dict[str, Geometry],
) -> None:
    everybody = [p.standing.family for p in proposals(slots, max_entrants=99)]
    last = [family for family in everybody if family != "control"][-1]
    assert last not in {p.standing.family for p in proposals(slots, max_entrants=4)}
    config = GrowthConfig(max_entrants=4)
    strategy = STRATEGIES.lookup(AdaptationStrategyName.REPLACE)()
    found = propose(slots, strategy, BlueprintRegistry(), STAND, config, families=(last,))
    assert {p.standing.family for p in found} == {last, "control"}


@pytest.mark.parametrize(
    ("strategy", "modes"),
    [
        (AdaptationStrategyName.REPLACE, {KernelMode.REPLACING}),
        (AdaptationStrategyName.ENSEMBLE, {KernelMode.RESIDUAL}),
        (AdaptationStrategyName.DIVERSIFY, {KernelMode.REPLACING, KernelMode.RESIDUAL}),
        (AdaptationStrategyName.SPECIALIZE, {KernelMode.REPLACING, KernelMode.RESIDUAL}),
    ],
)
def test_a_strategy_admits_its_modes(
    slots: dict[str, Geometry], strategy: AdaptationStrategyName, modes: set[KernelMode]
) -> None:
    found = proposals(slots, strategy=strategy, max_entrants=99)
    assert {p.standing.mode for p in found if p.standing.family != "control"} == modes


def experienced(slots: dict[str, Geometry]) -> BlueprintRegistry:
    registry = BlueprintRegistry()
    entrant = next(p.standing for p in proposals(slots) if p.standing.family == "conv1d")
    measured = entrant.model_copy(update={"net_gain": 0.3})
    rung = {"step": 1, "host_loss": 1.0, "host_metric": None, "standings": (measured,)}
    race = RaceRecord.model_validate(
        {"index": 0, "start": 0, "end": 1, "entrants": (entrant,), "rungs": (rung,), "flops": 0.0}
    )
    registry.learn(race, "conv1d")
    return registry


def test_diversify_leaves_out_what_won_and_takes_one_size_of_the_rest(
    slots: dict[str, Geometry],
) -> None:
    found = proposals(
        slots,
        strategy=AdaptationStrategyName.DIVERSIFY,
        registry=experienced(slots),
        max_entrants=99,
    )
    challengers = [p.standing for p in found if p.standing.family != "control"]
    assert "conv1d" not in {s.family for s in challengers}
    kinds = [(s.layer_name, s.family, s.mode) for s in challengers]
    assert len(kinds) == len(set(kinds))


def test_specialize_stays_with_what_did_well(slots: dict[str, Geometry]) -> None:
    found = proposals(
        slots,
        strategy=AdaptationStrategyName.SPECIALIZE,
        registry=experienced(slots),
        max_entrants=99,
    )
    at_first = {p.standing.family for p in found if p.standing.layer_name == "0"}
    assert at_first == {"conv1d", "control"}


def test_a_registry_goes_on_from_its_saved_state(slots: dict[str, Geometry]) -> None:
    registry, other = experienced(slots), BlueprintRegistry()
    other.load_state_dict(registry.state_dict())
    assert other.wins("conv1d") == 1
    assert other.best_gain("conv1d") == 0.3
    assert other.entries("conv1d") == 1
