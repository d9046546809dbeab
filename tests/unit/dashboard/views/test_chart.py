from __future__ import annotations

from esper.contracts.runs import Curve
from esper.dashboard.views.chart import FIGURES, comparison_chart, figure, run_chart
from support import told_runs

CURVE = Curve(name="growth_metric", steps=(100, 200, 300), values=(0.5, None, 0.7), points=900)
EMPTY = Curve(name="growth_loss", steps=(), values=(), points=0)


def test_a_chart_has_the_curve_as_it_is_with_a_gap_where_nothing_was_finite() -> None:
    chart = run_chart(told_runs.finished(), figure("metric"), [CURVE])
    (series,) = chart["series"]
    assert series["points"] == [(100, 0.5), (200, None), (300, 0.7)]
    assert series["held"] == 900
    assert chart["percent"]


def test_changes_of_the_model_are_marked_and_races_are_bands() -> None:
    chart = run_chart(told_runs.finished(), figure("metric"), [CURVE])
    assert [(mark["step"], mark["kind"]) for mark in chart["marks"]] == [
        (1_600, "grafting"),
        (2_100, "fossilized"),
    ]
    assert chart["races"] == [{"from": 600, "to": 1_600}]


def test_the_band_of_an_open_race_ends_where_the_run_is() -> None:
    picture = told_runs.picture(told_runs.race_lines()[:2], step=950)
    assert run_chart(picture, figure("metric"), [CURVE])["races"] == [{"from": 600, "to": 950}]


def test_a_culled_kernel_is_marked() -> None:
    picture = told_runs.picture(told_runs.cull_lines())
    assert run_chart(picture, figure("metric"), [CURVE])["marks"][0]["kind"] == "culled"


def test_a_figure_that_nobody_measured_has_no_curve() -> None:
    chart = run_chart(told_runs.finished(), figure("loss"), [EMPTY, EMPTY])
    assert chart["series"] == []
    assert chart["log"]


def test_an_unknown_figure_is_the_first() -> None:
    assert figure("no such figure") is FIGURES[0]
    assert figure(None) is FIGURES[0]


def test_compared_runs_have_a_curve_each() -> None:
    runs = [told_runs.summary(), told_runs.summary(run_id="cd" * 16, seed=1, total_steps=9_000)]
    chart = comparison_chart(figure("metric"), runs, [CURVE, EMPTY])
    assert [one["role"] for one in chart["series"]] == ["run0", "run1"]
    assert len({one["name"] for one in chart["series"]}) == 2
    assert chart["end"] == 9_000
