"""Terminal, report file and dashboard tell one story about a run: figure by figure the same."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from esper.cli.console import THEME
from esper.cli.progress import print_closing
from esper.report import narrate, wording
from esper.report.page import write_report
from esper.report.run_folder import read_run
from esper.report.story import tell
from esper.services.tolaria.result import RunResult
from support.dashboard_server import DashboardServer

PARTS = ("answers", "network", "races", "decisions", "impacts")


@dataclass
class Part:
    """What one part of a page says."""

    text: str = ""
    figures: list[tuple[float, str]] = field(default_factory=list)
    """Exact value, and how it is written."""


class Page(HTMLParser):
    """A run's page by its parts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.parts: dict[str, Part] = {}
        self.steps: list[str] = []
        self.text = ""
        self._part = Part()
        self._value: float | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag == "section":
            self._part = Part()
        if "data-part" in known:
            self._part = self.parts[str(known["id"])] = Part()
        if tag == "data":
            self._value = float(str(known["value"]))
        if "data-steps" in known:
            self.steps.append(str(known["data-steps"]))

    def handle_data(self, data: str) -> None:
        self.text += data
        self._part.text += data
        if self._value is not None:
            self._part.figures.append((self._value, data))
            self._value = None


@pytest.fixture(scope="module")
def told(recorded_run: Path, dashboard: DashboardServer) -> tuple[Page, Page, str]:
    """The report file, the dashboard's page, and what the terminal says at the end of the run."""
    written = write_report(recorded_run)
    served = httpx.get(f"{dashboard.url}/runs/newest").raise_for_status().text
    result = RunResult.model_validate_json((recorded_run / "result.json").read_bytes())
    stream = io.StringIO()
    closing = Console(file=stream, width=300, theme=THEME)
    print_closing(closing, result.model_copy(update={"folder": recorded_run}), written)
    # A narrow no-break space is none to break a line at, but one to `split`.
    terminal = re.sub(r"[ \n]+", " ", stream.getvalue())
    return Page(written.page.read_text(encoding="utf-8")), Page(served), terminal


@pytest.mark.parametrize("part", PARTS)
def test_report_and_dashboard_have_the_same_figures_in_the_same_order(
    told: tuple[Page, Page, str], part: str
) -> None:
    report, served, _ = told
    assert report.parts[part].figures == served.parts[part].figures
    assert part == "network" or report.parts[part].figures


def test_the_terminal_s_figures_are_those_of_the_pages(
    told: tuple[Page, Page, str], recorded_run: Path
) -> None:
    report, served, terminal = told
    run = read_run(recorded_run).account
    growth = run.growth
    assert run.kept
    figures = [
        run.score(run.metric_before),
        run.score(run.metric_now),
        run.score(run.test_metric),
        wording.multiple(growth.cost.multiple),
        *(
            wording.signed_percent(graft.verdict.evidence.gain)
            for graft in run.kept
            if graft.verdict.evidence
        ),
    ]
    for figure in figures:
        for text in (terminal, report.parts["answers"].text, served.parts["answers"].text):
            assert figure in text
    for sentence in (tell(run).headline, *tell(run).sentences):
        assert sentence in terminal
        for page in (report, served):
            assert sentence in page.text.replace("\N{NON-BREAKING HYPHEN}", "-")


def test_what_the_terminal_tells_as_it_happens_stands_in_both_records(
    told: tuple[Page, Page, str], recorded_run: Path
) -> None:
    run = read_run(recorded_run).account
    for event in run.events:
        said = narrate.tell(event)
        for page in told[:2]:
            assert said is None or said in page.parts["record"].text
    for graft in run.kept:
        assert graft.closed is not None
        assert graft.closed.evidence is not None
        check = wording.signed_percent(graft.closed.evidence.gain)
        assert sum(check in (narrate.tell(event) or "") for event in run.events) == 1
        assert wording.gain(graft.closed.evidence) in " ".join(tell(run).sentences)


def test_every_evaluation_of_the_log_is_in_both_curves(
    told: tuple[Page, Page, str], recorded_run: Path
) -> None:
    lines = [json.loads(line) for line in (recorded_run / "run.jsonl").read_text().splitlines()]
    steps = " ".join(str(line["step"]) for line in lines if line["type"] == "eval")
    for page in told[:2]:
        assert steps in page.steps


def test_the_number_of_candidates_is_the_same_everywhere(
    told: tuple[Page, Page, str], recorded_run: Path
) -> None:
    run = read_run(recorded_run).account
    begun = [said for event in run.events if "begins" in (said := narrate.tell(event) or "")]
    told_of = [int(found) for said in begun for found in re.findall(r": (\d+) candidates", said)]
    assert told_of
    for page in told[:2]:
        shown = re.findall(r"Race \d+ · (\d+) candidates", page.parts["races"].text)
        assert [int(number) for number in reversed(shown)] == told_of


def test_no_sentence_has_two_signs(told: tuple[Page, Page, str]) -> None:
    report, served, terminal = told
    for text in (report.text, served.text, terminal):
        assert not re.search(r"changed by|falls? by\s*[-−+]", text)
        for low, high in re.findall(r"interval ([-−+\d.]+)\s%\s+to\s+([-−+\d.]+)\s%", text):
            assert float(low.replace("−", "-")) <= float(high.replace("−", "-"))
            assert all(one[0] in "+−" or float(one) == 0 for one in (low, high))
