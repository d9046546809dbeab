from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from esper.contracts.runs import Curve
from esper.report import chart
from esper.report.chart import FIGURES, comparison_chart, figure, run_chart
from esper.report.drawing import draw
from support import told_runs

CURVE = Curve(name="growth_metric", steps=(100, 200, 300), values=(0.5, None, 0.7), points=900)
EMPTY = Curve(name="growth_loss", steps=(), values=(), points=0)
CURVES = {"growth_metric": CURVE, "growth_loss": EMPTY}


def texts(svg: str) -> list[str]:
    return ["".join(one.itertext()) for one in ET.fromstring(svg).iter() if one.tag == "text"]


def line(svg: str) -> str:
    found = re.search(r'<path d="([^"]*)" fill="none"', svg)
    assert found
    return found[1]


def test_a_curve_has_every_point_with_its_value_and_a_gap_where_nothing_was_finite() -> None:
    svg = draw(run_chart(told_runs.finished(), figure("metric"), CURVES))
    assert line(svg).count("M") == 2
    assert 'data-steps="100 200 300"' in svg
    assert 'data-values="50.0\u202f%|not measured|70.0\u202f%"' in svg
    assert "step 300: 70.0\u202f%" in svg


def test_changes_of_the_model_are_marked_and_races_are_bands() -> None:
    shown = run_chart(told_runs.finished(), figure("metric"), CURVES)
    assert [(step, role) for step, role, _ in shown.marks] == [(1_600, "growth"), (2_100, "grown")]
    assert shown.races == [(600, 1_600, "race 1")]
    assert {"race 1", "permanent"} <= set(texts(draw(shown)))


def test_the_band_of_an_open_race_ends_where_the_run_is() -> None:
    run = told_runs.account(told_runs.race_lines()[:2], step=950)
    assert run_chart(run, figure("metric"), CURVES).races == [(600, 950, "race 1")]


def test_a_culled_kernel_is_marked() -> None:
    run = told_runs.account(told_runs.cull_lines())
    assert run_chart(run, figure("metric"), CURVES).marks[0][1:] == ("warning", "taken out")


def test_a_figure_that_nobody_measured_says_so() -> None:
    shown = run_chart(told_runs.finished(), figure("loss"), CURVES)
    assert shown.series == []
    assert "Nothing measured yet" in draw(shown)


def test_an_unknown_figure_is_the_first() -> None:
    assert figure("no such figure") is FIGURES[0]
    assert figure(None) is FIGURES[0]


def test_compared_runs_have_a_curve_each() -> None:
    runs = [told_runs.summary(), told_runs.summary(run_id="cd" * 16, seed=1, total_steps=9_000)]
    shown = comparison_chart(figure("metric"), runs, [CURVE, EMPTY])
    assert [one.role for one in shown.series] == ["run0", "run1"]
    assert len({one.name for one in shown.series}) == 2
    assert shown.span == (0, 9_000)
    ET.fromstring(draw(shown))


def test_a_layer_s_health_has_those_charts_that_have_a_point() -> None:
    curves = {"health/0/gradient_norm": CURVE, "health/2/gradient_norm": CURVE}
    (only,) = chart.health_charts("0", curves, 300)
    assert only[0] == "Gradient norm"
    ET.fromstring(draw(only[1]))
