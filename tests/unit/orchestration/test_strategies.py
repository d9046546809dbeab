"""Which candidates each strategy lets compete, and in which order."""

from __future__ import annotations

from esper.blueprints.library.catalog import Candidate, candidates
from esper.contracts.enums import KernelMode
from esper.contracts.growth import CandidateStanding, RaceRecord, RungRecord
from esper.orchestration.blueprint_registry import BlueprintRegistry
from esper.orchestration.strategies import Diversify, Ensemble, Replace, Specialize
from support.places import geometry_at

OFFERS = candidates(geometry_at("linear over a signal"))


def learned(gains: dict[str, float], winner: str | None) -> BlueprintRegistry:
    """What a registry knows after one race."""
    standings = tuple(
        CandidateStanding(
            candidate=f, layer_name="0", family=f, mode=KernelMode.REPLACING, net_gain=gain
        )
        for f, gain in gains.items()
    )
    rung = RungRecord(step=1, host_loss=1.0, host_metric=None, standings=standings)
    registry = BlueprintRegistry()
    registry.learn(
        RaceRecord(index=0, start=0, end=1, entrants=standings, rungs=(rung,), flops=0.0), winner
    )
    return registry


def families(chosen: list[Candidate]) -> list[str]:
    return list(dict.fromkeys(c.family for c in chosen))


def test_replacing_and_joining_take_every_candidate_in_the_librarys_order() -> None:
    for strategy in (Replace(), Ensemble()):
        assert strategy.choose("0", OFFERS, BlueprintRegistry()) == OFFERS


def test_diversity_takes_one_of_each_family_and_mode_and_no_winner() -> None:
    chosen = Diversify().choose("0", OFFERS, learned({"conv1d": 0.2, "glu": 0.1}, "conv1d"))
    kinds = [(c.family, c.mode) for c in chosen]
    assert len(kinds) == len(set(kinds))
    assert "conv1d" not in families(chosen)
    assert families(chosen)[-1] == "glu"  # it has been tried already


def test_specialising_takes_what_has_gained_best_first_or_everything_at_the_start() -> None:
    chosen = Specialize().choose("0", OFFERS, learned({"glu": 0.1, "conv1d": 0.3, "mlp": -1}, None))
    assert families(chosen) == ["conv1d", "glu"]
    assert Specialize().choose("0", OFFERS, BlueprintRegistry()) == OFFERS
