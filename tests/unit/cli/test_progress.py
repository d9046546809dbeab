from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from esper.cli.console import THEME, Terminal
from esper.cli.progress import (
    LiveDisplay,
    PlainDisplay,
    Standing,
    display,
    news_style,
    print_closing,
    slots_line,
)
from esper.contracts.events import GraftEvaluated, RaceDecided, SeedCulled, SeedFossilized
from esper.contracts.growth import GrowthReport
from esper.contracts.records import Evaluated, LogEntry, RunResumed, RunStarted, StepLogged
from esper.report.page import write_report
from esper.services.tolaria.result import RunResult
from samples.run_folders import events, grown_report, static_report, write_run

NEWS = [one for one in events() if not isinstance(one, GraftEvaluated)]
START = RunStarted.model_construct(step=0, total_steps=4_000, metric="accuracy")


def records() -> list[LogEntry]:
    log: list[LogEntry] = [START]
    for step in range(50, 4_001, 50):
        alpha = {"0#0": min(1.0, (step - 1_600) / 400)} if step > 1_600 else {}
        log.append(StepLogged(step=step, train_loss=1.5, lr=1e-3, alpha=alpha))
        if step % 200 == 0:
            log.append(Evaluated(step=step, train_loss=1.5, growth_loss=1.25, growth_metric=0.641))
    return sorted([*log, *events()], key=lambda record: record.step)


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    made = Console(file=stream, force_terminal=terminal, width=100, theme=THEME, highlight=False)
    return made, stream


def shown(*, terminal: bool) -> str:
    target, stream = console(terminal=terminal)
    with display(target, clock=lambda: 0.0) as show:
        for record in records():
            show(record)
    return stream.getvalue()


def test_the_display_is_live_on_a_terminal_and_plain_elsewhere() -> None:
    with display(console(terminal=True)[0]) as live, display(console(terminal=False)[0]) as plain:
        assert isinstance(live, LiveDisplay)
        assert isinstance(plain, PlainDisplay)


def test_off_a_terminal_there_are_about_ten_lines_and_one_for_each_event() -> None:
    lines = shown(terminal=False).splitlines()
    training = [line for line in lines if "held-out loss" in line]
    assert 8 <= len(training) <= 12
    assert len(lines) == len(training) + len(NEWS)
    assert "\x1b" not in "".join(lines)


def test_plain_lines_say_where_the_run_is_and_what_happened() -> None:
    text = shown(terminal=False)
    assert "step 1,600/4,000" in text
    assert "race 1 is won by conv1d_stack/m" in text
    assert "held-out accuracy 64.1\u202f%" in text


def test_the_live_display_prints_every_event_and_the_figures_of_the_moment() -> None:
    text = shown(terminal=True)
    assert "race 1 begins" in text
    assert "is permanent" in text


def test_slots_show_how_far_they_are_blended_in() -> None:
    standing = Standing()
    assert "all slots dormant" in slots_line(standing).plain
    standing.alpha = {"0#0": 0.5, "2#0": 1.0}
    line = slots_line(standing).plain
    assert "0#0 ████░░░░ 0.50" in line
    assert "in: 2#0" in line


def test_a_race_counts_down_its_candidates_and_ends() -> None:
    standing, seen = Standing(), []
    for record in records():
        standing.take(record)
        seen.append(standing.racing)
    counts = [count for count in dict.fromkeys(seen) if count is not None]
    assert counts == [10, 5, 2, 1]
    assert seen[-1] is None


def test_a_resumed_run_says_where_it_goes_on() -> None:
    standing = Standing()
    standing.take(START)
    assert standing.take(RunResumed(step=500, environment={})) is not None
    assert (standing.step, standing.total) == (500, 4_000)


def test_a_loss_that_is_not_finite_is_shown_as_nothing() -> None:
    standing = Standing()
    standing.take(StepLogged(step=1, train_loss=None, lr=0.1))
    assert standing.figures() == []


def test_good_and_bad_news_look_different() -> None:
    assert (
        news_style(SeedFossilized(step=1, layer_name="0", host_dropped=True, parameters=1))
        == "good"
    )
    assert news_style(SeedCulled(step=1, layer_name="0", reason="no gain")) == "warn"
    assert news_style(RaceDecided(step=1, race=0, reason="no gain")) == ""


def closing(folder: Path, report: GrowthReport) -> str:
    written = write_report(write_run(folder, report))
    facts = {"folder": folder, "growth_metric": 0.9, "grown": True}
    result = RunResult.model_validate({**written.run.result, **facts})
    stream = io.StringIO()
    print_closing(Terminal(file=stream, width=200), result, written)
    return stream.getvalue()


def test_the_closing_table_has_the_numbers_of_the_record(tmp_path: Path) -> None:
    text = closing(tmp_path, grown_report())
    for part in (
        "15,210",
        "32,610",
        "91.3\u202f%",
        "33.0\u202fG",
        "74.0\u202fG (2.24\u202f×)",
        "31.0\u202fG (0.94\u202f×)",
        "6.00\u202fG (0.18\u202f×)",
        "3.36\u202f×",
        "conv1d_stack/m",
        "+73.5\u202f%",
    ):
        assert part in text
    assert str(tmp_path / "report.html") in text
    assert str(tmp_path / "model.pt") in text


def test_where_nothing_grew_there_is_no_table_of_kernels(tmp_path: Path) -> None:
    text = closing(tmp_path, static_report())
    assert "Nothing was added" in text
    assert "replacing" not in text
