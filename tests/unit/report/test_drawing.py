from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esper.contracts.runs import Curve
from esper.report.chart import LARGE, Chart, Series, figure, run_chart
from esper.report.drawing import COLOURS, draw, standalone, themes
from support import told_runs

CURVE = Curve(name="growth_metric", steps=(100, 200, 300), values=(0.5, None, 0.7), points=900)
CURVES = {"growth_metric": CURVE}


def line(svg: str) -> str:
    found = re.search(r'<path d="([^"]*)" fill="none"', svg)
    assert found
    return found[1]


def test_text_from_a_run_cannot_become_markup() -> None:
    nasty = Series(name="<script>\x1b\"'", role="run0", curve=CURVE)
    svg = draw(Chart(title="<b>", series=[nasty], span=(0, 300)))
    assert "<script>" not in svg
    assert "\x1b" not in svg
    ET.fromstring(svg)


def test_a_picture_of_its_own_needs_no_page() -> None:
    root = ET.fromstring(
        standalone(draw(run_chart(told_runs.finished(), figure("metric"), CURVES)))
    )
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "--growth: #" in (root[0].text or "")


@pytest.mark.parametrize("is_log", [False, True])
@given(st.lists(st.floats(-1e9, 1e9) | st.none(), min_size=1, max_size=30))
def test_every_point_lies_in_the_drawing(is_log: bool, values: list[float | None]) -> None:
    curve = Curve(
        name="x", steps=tuple(range(len(values))), values=tuple(values), points=len(values)
    )
    one = Series(name="x", role="train", curve=curve)
    svg = draw(Chart(title="x", series=[one], span=(0, 30), is_log=is_log))
    width, height = LARGE.inner
    for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", line(svg)):
        assert -0.1 <= float(x) <= width + 0.1
        assert -0.1 <= float(y) <= height + 0.1


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("role", ["ink", "muted", "growth", "control", "warning"])
def test_text_colours_are_readable_on_paper(theme: int, role: str) -> None:
    assert contrast(COLOURS[role][theme], COLOURS["paper"][theme]) >= 4.0


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_on_what_was_added_is_readable(theme: int) -> None:
    added = COLOURS["grown-soft"][theme]
    assert contrast(COLOURS["ink"][theme], added) >= 7.0
    assert contrast(COLOURS["muted"][theme], added) >= 4.0


def test_colours_are_there_for_light_and_for_dark() -> None:
    light, dark = themes().split("@media", 1)
    names = re.findall(r"--[\w-]+(?=:)", light)
    assert len(names) == len(COLOURS)
    assert names == re.findall(r"--[\w-]+(?=:)", dark)
