from __future__ import annotations

from esper.contracts.enums import Verdict
from esper.report import findings
from samples.run_folders import grown_report, static_report


def test_a_fossilised_graft_stayed_and_rests_on_its_last_evidence() -> None:
    (graft,) = findings.grafts(grown_report())
    assert graft.stayed
    assert graft.verdict.step == 2_100


def test_a_culled_graft_did_not_stay() -> None:
    report = grown_report()
    culled = report.decisions[1].model_copy(update={"verdict": Verdict.CULL})
    report = report.model_copy(update={"decisions": (report.decisions[0], culled)})
    (graft,) = findings.grafts(report)
    assert not graft.stayed


def test_a_roll_back_without_a_candidate_closes_the_open_graft() -> None:
    report = grown_report()
    rolled = report.decisions[1].model_copy(
        update={"verdict": Verdict.ROLL_BACK, "candidate": None}
    )
    report = report.model_copy(update={"decisions": (report.decisions[0], rolled)})
    assert not findings.grafts(report)[0].stayed


def test_the_best_declined_is_ranked_by_gain_less_rent() -> None:
    report = static_report()
    worse = report.decisions[0].model_copy(update={"rent": 0.5})
    report = report.model_copy(update={"decisions": (worse, report.decisions[0])})
    assert findings.best_declined(report) is report.decisions[1]


def test_controls_are_not_counted_as_candidates() -> None:
    report = grown_report()
    assert len(report.races[0].entrants) == 12
    assert findings.entrants(report) == 10


def test_the_metric_at_a_step_is_the_last_that_was_measured_by_then() -> None:
    report = grown_report()
    blank = report.curve[16].model_copy(update={"growth_metric": None})
    report = report.model_copy(update={"curve": (*report.curve[:16], blank)})
    assert findings.metric_at(report, 1_600) == report.curve[15].growth_metric
    assert findings.metric_at(report.model_copy(update={"curve": ()}), 1_600) is None


def test_every_verdict_is_said_as_what_was_done() -> None:
    assert findings.OUTCOMES.keys() == {*Verdict, ""}
    assert findings.OUTCOMES[Verdict.FOSSILISE] == "made permanent"
    assert findings.OUTCOMES[""] == "under way"
