from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from esper.contracts.enums import Verdict
from esper.contracts.growth import GrowthReport
from esper.report import wording
from esper.report.page import write_report
from samples.run_folders import grown_report, static_report, write_run


class Outline(HTMLParser):
    """The text of a page, and what it would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.fetched: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [
            value
            for name, value in attrs
            if name in ("src", "href", "xlink:href") and value and not value.startswith("#")
        ]

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(folder: Path, report: GrowthReport) -> Outline:
    written = write_report(write_run(folder, report))
    outline = Outline()
    outline.feed(written.page.read_text(encoding="utf-8"))
    return outline


@pytest.mark.parametrize("report", [grown_report(), static_report()], ids=["grown", "static"])
def test_the_page_needs_nothing_from_outside_and_runs_nothing(
    tmp_path: Path, report: GrowthReport
) -> None:
    page = page_of(tmp_path, report)
    assert page.fetched == []
    assert not page.tags & {"script", "iframe", "link", "object", "embed"}
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


@pytest.mark.parametrize("report", [grown_report(), static_report()], ids=["grown", "static"])
def test_every_number_of_the_record_is_on_the_page_as_it_stands(
    tmp_path: Path, report: GrowthReport
) -> None:
    text = page_of(tmp_path, report).text
    for decision in report.decisions:
        assert decision.evidence is not None
        for value in (
            decision.evidence.gain,
            decision.evidence.ci_low,
            decision.evidence.ci_high,
        ):
            assert wording.signed_percent(value) in text
        assert wording.percent(decision.rent) in text
        assert f"step {decision.step:,}" in text
        assert decision.reason in text
    for value in (report.cost.host, report.cost.shadow, report.cost.evaluation, report.cost.static):
        assert wording.compact(value) in text
    assert wording.multiple(report.cost.multiple) in text
    assert wording.compact(report.parameters_after) in text
    for race in report.races:
        for rung in race.rungs:
            for standing in rung.standings:
                if standing.net_gain is not None:
                    assert wording.signed_percent(standing.net_gain) in text


def test_the_sentence_comes_before_any_picture(tmp_path: Path) -> None:
    page_of(tmp_path, grown_report())
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 0 < html.index("<h1>") < html.index("<svg")


def test_what_came_in_what_stayed_out_and_what_was_undone_are_told_apart(tmp_path: Path) -> None:
    report = grown_report()
    nothing = {"evidence": None, "against_control": None, "candidate": None}
    undone = report.decisions[1].model_copy(update={"verdict": Verdict.CULL, **nothing})
    report = report.model_copy(update={"decisions": (*report.decisions, undone)})
    page = write_report(write_run(tmp_path, report)).page.read_text(encoding="utf-8")
    shown = page.partition('<ol class="verdicts">')[2].partition("</ol>")[0]
    assert re.findall(r'<li class="is-(\w+)"', shown) == ["in", "in", "out", "undone"]
    # What was not measured has no bar.
    assert shown.count('class="forest"') == 3


def test_light_dark_and_paper_are_provided_for(tmp_path: Path) -> None:
    page_of(tmp_path, grown_report())
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_text_from_the_run_cannot_become_markup(tmp_path: Path) -> None:
    report = grown_report()
    hostile = report.decisions[0].model_copy(update={"reason": "<script>alert(1)</script>"})
    report = report.model_copy(update={"decisions": (hostile, *report.decisions[1:])})
    page = page_of(tmp_path, report)
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.text


def test_an_event_of_another_version_does_not_cost_the_report(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grown_report())
    with (folder / "run.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"type": "event", "kind": "SeedSang", "step": 7}\n')
    write_report(folder)
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "1 lines of this run were written by another version" in html


def test_a_report_is_a_page_and_its_pictures(tmp_path: Path) -> None:
    written = write_report(write_run(tmp_path, grown_report()))
    names = [path.name for path in written.pictures]
    assert names == [
        "curve-metric.svg",
        "curve-loss.svg",
    ]
    assert all(path.read_text().startswith("<svg ") for path in written.pictures)
    assert written.page.read_text(encoding="utf-8").endswith("</html>\n")


def test_writing_twice_changes_nothing_and_leaves_no_partial_file(tmp_path: Path) -> None:
    folder = write_run(tmp_path, static_report())
    first = write_report(folder).page.read_bytes()
    assert write_report(folder).page.read_bytes() == first
    assert not list(folder.glob("*.part"))


def test_a_record_with_nothing_in_it_still_gives_a_page(tmp_path: Path) -> None:
    empty = static_report().model_copy(
        update={
            "curve": (),
            "races": (),
            "decisions": (),
            "before": (),
            "after": (),
            "cost": static_report().cost.model_copy(update={"static": 0.0}),
        }
    )
    folder = write_run(tmp_path, empty.model_copy(update={"curve": static_report().curve[:1]}))
    assert [path.name for path in write_report(folder).pictures] == [
        "curve-metric.svg",
        "curve-loss.svg",
    ]


def test_behind_a_module_a_kernel_is_told_against_the_same_training(tmp_path: Path) -> None:
    record = grown_report()
    behind = tuple(
        one.model_copy(update={"candidate": one.candidate.model_copy(update={"layer_name": "1+"})})
        for one in record.decisions
        if one.candidate is not None
    )
    text = page_of(tmp_path, record.model_copy(update={"decisions": behind})).text
    assert "added to what it returns" in text
    assert text.count("over the same training with nothing there") >= len(behind)
    assert "beside the layer" not in text
