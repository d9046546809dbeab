from __future__ import annotations

from esper.contracts.enums import AdaptationOutcome, KernelMode
from esper.contracts.events import AnyEvent, GraftStarted, RaceDecided, SeedCulled, SeedFossilized
from esper.contracts.growth import CandidateStanding
from esper.contracts.operational import FieldReport
from esper.services.nissa.adaptations import impacts_of

KERNEL = "ab" * 32


def decided(layer: str = "net.0", gain: float = 0.3) -> RaceDecided:
    winner = CandidateStanding(
        candidate="mlp/m",
        layer_name=layer,
        family="mlp",
        mode=KernelMode.REPLACING,
        kernel_id=KERNEL,
        gain=gain,
        ci_low=gain - 0.1,
        ci_high=gain + 0.1,
    )
    return RaceDecided(step=10, winner=winner, reason="it won")


def grafted(step: int = 10, layer: str = "net.0") -> GraftStarted:
    return GraftStarted(
        step=step,
        layer_name=layer,
        blueprint="mlp/m",
        mode=KernelMode.REPLACING,
        duration_steps=5,
        schedule="linear",
    )


def report(outcome: AdaptationOutcome, gain: float | None, layer: str = "net.0") -> FieldReport:
    return FieldReport(
        step=20,
        layer_name=layer,
        blueprint="mlp/m",
        outcome=outcome,
        gain=gain,
        ci_low=None if gain is None else gain - 0.05,
        ci_high=None if gain is None else gain + 0.05,
    )


def kept(gain: float | None, layer: str = "net.0") -> SeedFossilized:
    return SeedFossilized(
        step=20,
        layer_name=layer,
        host_dropped=True,
        parameters=1,
        report=report(AdaptationOutcome.FOSSILIZED, gain, layer),
    )


def test_a_kept_kernel_is_held_against_what_its_race_found() -> None:
    (impact,) = impacts_of([decided(gain=0.3), grafted(), kept(0.35)])
    assert (impact.candidate, impact.kernel_id, impact.grafted_at) == ("mlp/m", KERNEL, 10)
    assert (impact.predicted, impact.outcome, impact.within) == (0.3, 0.35, True)
    assert (impact.judged_at, impact.verdict) == (20, "fossilise")


def test_an_outcome_beyond_the_predicted_interval_is_not_within() -> None:
    (impact,) = impacts_of([decided(gain=0.3), grafted(), kept(0.41)])
    assert impact.within is False


def test_a_graft_that_goes_on_has_no_outcome() -> None:
    (impact,) = impacts_of([decided(), grafted()])
    assert (impact.judged_at, impact.verdict, impact.outcome, impact.within) == (
        None,
        "",
        None,
        None,
    )


def test_a_graft_that_was_rolled_back_has_a_verdict_and_no_figure() -> None:
    end = SeedCulled(
        step=15,
        layer_name="net.0",
        reason="the loss is not finite",
        report=report(AdaptationOutcome.ROLLED_BACK, None),
    )
    (impact,) = impacts_of([decided(), grafted(), end])
    assert (impact.verdict, impact.outcome, impact.within) == ("roll back", None, None)


def test_a_graft_without_a_race_was_not_predicted() -> None:
    events: list[AnyEvent] = [decided("net.2"), grafted(), kept(0.2)]
    (impact,) = impacts_of(events)
    assert (impact.predicted, impact.outcome, impact.within) == (None, 0.2, None)


def test_each_end_closes_the_newest_open_graft_of_its_layer() -> None:
    first, second, third = impacts_of(
        [
            decided(gain=0.1),
            grafted(10),
            kept(0.15),
            decided(gain=0.2),
            grafted(40),
            decided("net.2", gain=0.5),
            grafted(60, "net.2"),
            kept(0.6, "net.2"),
        ]
    )
    assert (first.outcome, second.outcome, third.outcome) == (0.15, None, 0.6)


def test_a_layer_that_was_culled_without_a_graft_is_no_adaptation() -> None:
    assert impacts_of([SeedCulled(step=1, layer_name="net.0", reason="a command")]) == []
