from __future__ import annotations

from collections.abc import Sequence

from esper.contracts.enums import AdaptationOutcome, KernelMode
from esper.contracts.events import (
    AnyEvent,
    RaceDecided,
    RaceStarted,
    RungFinished,
    SeedCulled,
    SeedFossilized,
    SeedGerminated,
)
from esper.contracts.growth import CandidateStanding
from esper.contracts.operational import FieldReport
from esper.contracts.runs import KernelHistoryEntry
from esper.services.nissa.adaptations import history_of
from esper.services.nissa.projection import Body

KERNEL = "ab" * 32
ENTERED = {"type": "library", "step": 0, "entered": [KERNEL]}


def standing(
    layer: str, gain: float | None = None, kernel: str | None = KERNEL
) -> CandidateStanding:
    return CandidateStanding(
        candidate="mlp/m",
        layer_name=layer,
        family="mlp",
        mode=KernelMode.REPLACING,
        kernel_id=kernel,
        gain=gain,
    )


def started(*standings: CandidateStanding) -> RaceStarted:
    return RaceStarted(step=5, layers=("a",), candidates=standings, window_steps=9)


def found(
    events: Sequence[AnyEvent], others: Sequence[Body] = (ENTERED,)
) -> Sequence[KernelHistoryEntry]:
    """The kernel's stations in a run of these events and other lines."""
    told = [{"type": "event", **event.model_dump(mode="json")} for event in events]
    return history_of(KERNEL, "run-1", "toy mlp", [*told, *others])


def test_a_race_under_way_has_the_newest_standing() -> None:
    mark = RungFinished(step=7, rung=0, standings=(standing("a", 0.2),))
    (entry,) = found([started(standing("a")), mark])
    assert (entry.outcome, entry.gain, entry.step) == ("racing", 0.2, 7)
    assert (entry.role, entry.run_name, entry.candidate) == ("entered", "toy mlp", "mlp/m")


def test_a_race_that_somebody_else_wins_was_lost() -> None:
    won = RaceDecided(step=9, winner=standing("a", 0.4, None), reason="better")
    (entry,) = found([started(standing("a", 0.1), standing("a", kernel=None)), won])
    assert (entry.outcome, entry.step) == ("outraced", 9)


def test_a_race_without_a_winner_says_so() -> None:
    (entry,) = found([started(standing("a")), RaceDecided(step=9, reason="nobody")])
    assert entry.outcome == "no_winner"


def test_a_winner_ends_as_its_graft_ends_and_its_other_places_are_lost() -> None:
    events: list[AnyEvent] = [
        started(standing("a"), standing("b")),
        RaceDecided(step=9, winner=standing("b", 0.3), reason="best"),
        SeedCulled(
            step=30,
            layer_name="b",
            reason="worse",
            report=FieldReport(
                step=30,
                layer_name="b",
                blueprint="mlp/m",
                outcome=AdaptationOutcome.ROLLED_BACK,
                gain=-0.1,
            ),
        ),
    ]
    lost, ended = found(events)
    assert (lost.layer_name, lost.outcome) == ("a", "outraced")
    assert (ended.layer_name, ended.outcome, ended.gain, ended.step) == (
        "b",
        "rolled_back",
        -0.1,
        30,
    )


def test_a_kernel_that_was_loaded_without_a_race_has_a_stint_too() -> None:
    event = SeedGerminated(
        step=3, layer_name="a", blueprint="mlp/m", mode=KernelMode.RESIDUAL, kernel_id=KERNEL
    )
    (entry,) = found([event], [])
    assert (entry.role, entry.outcome, entry.step) == ("grown", "racing", 3)


def test_a_kernel_that_the_run_made_begins_its_life_where_it_was_kept() -> None:
    report = FieldReport(
        step=20,
        layer_name="a",
        blueprint="mlp/m",
        outcome=AdaptationOutcome.FOSSILIZED,
        gain=0.5,
    )
    kept = SeedFossilized(
        step=20,
        layer_name="a",
        blueprint="mlp/m",
        host_dropped=True,
        parameters=1,
        report=report,
    )
    growth = {"type": "growth", "kernels": {"a": KERNEL, "b": "cd" * 32}}
    events: list[AnyEvent] = [started(standing("a", kernel=None)), kept]
    (entry,) = found(events, [growth])
    assert (entry.role, entry.outcome, entry.gain, entry.step) == ("grown", "fossilized", 0.5, 20)
    assert found(events) == []


def test_a_run_without_the_kernel_has_no_stint() -> None:
    assert found([started(standing("a", kernel=None)), RaceDecided(step=9, reason="no")]) == []
