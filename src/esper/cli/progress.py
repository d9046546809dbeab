"""A run as it goes, and its end: a live display on a terminal, occasional plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from esper.cli.console import Row, print_rows, print_table, say
from esper.contracts.events import (
    GraftStarted,
    RaceDecided,
    RaceStarted,
    RolledBack,
    RungFinished,
    SeedCulled,
    SeedFossilized,
    SeedIsolated,
    SeedRetreated,
)
from esper.contracts.records import (
    Evaluated,
    LogEntry,
    Record,
    RunEnded,
    RunInterrupted,
    RunStarted,
    StepLogged,
)
from esper.report import findings, story, wording
from esper.report.findings import Graft, candidates
from esper.report.narrate import tell
from esper.report.page import WrittenReport
from esper.report.run_account import RunAccount
from esper.services.tolaria.result import RunResult

PLAIN_LINES = 10
"""Lines about training itself, over a whole run, off a terminal."""
ALPHA_CELLS = 8
"""Width of the bar that shows a blending coefficient."""


@dataclass
class Standing:
    """What is known about a run from the records of its log so far."""

    total: int = 0
    step: int = 0
    metric: str = "accuracy"
    train_loss: float | None = None
    growth_loss: float | None = None
    growth_metric: float | None = None
    alpha: dict[str, float] = field(default_factory=dict)
    racing: int | None = None
    """Candidates in the race that is going on."""

    def take(self, record: LogEntry) -> str | None:
        """Take one record in; returns news in plain English, if it is any."""
        self.step = max(self.step, record.step)
        match record:
            case RunStarted():
                self.total, self.metric = record.total_steps, record.metric
            case StepLogged():
                self.train_loss, self.alpha = record.train_loss, dict(record.alpha)
            case Evaluated():
                self.growth_loss = record.growth_loss
                self.growth_metric = record.growth_metric
            case RaceStarted():
                self.racing = candidates(record.candidates)
            case RungFinished():
                self.racing = candidates([one for one in record.standings if one.survived])
            case RaceDecided():
                self.racing = None
            case RunEnded() | RunInterrupted():
                return None  # told at the end, with what came of it
        return tell(record)

    def figures(self) -> list[str]:
        """What to say about training now, in pieces."""
        pieces = []
        if self.train_loss is not None:
            pieces.append(f"loss {wording.loss(self.train_loss)}")
        if self.growth_loss is not None:
            pieces.append(f"held-out loss {wording.loss(self.growth_loss)}")
        if self.growth_metric is not None:
            pieces.append(f"held-out {self.metric} {self.score(self.growth_metric)}")
        return pieces

    def score(self, value: float | None) -> str:
        """A value of the run's metric, in its form."""
        return wording.score(value, is_percent=wording.is_percentage(self.metric))


@contextmanager
def display(
    console: Console, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[LogEntry], None]]:
    """Show a run for as long as the block lasts: live on a terminal, in plain lines elsewhere.

    Yields:
        What takes each record of the run's log.
    """
    if not console.is_terminal:
        yield PlainDisplay(console, clock)
        return
    with LiveDisplay(console) as live:
        yield live


class PlainDisplay:
    """Writes a line for each event, and about ten lines on how training goes."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._standing = Standing()
        self._clock = clock
        self._begun = clock()
        self._next = 0.0

    def __call__(self, record: LogEntry) -> None:
        """Take a record in."""
        standing = self._standing
        news = standing.take(record)
        if news is not None:
            self._print(news)
        if isinstance(record, Evaluated) and standing.step >= self._next:
            self._next = standing.step + standing.total / PLAIN_LINES
            self._print(", ".join(standing.figures()))

    def _print(self, text: str) -> None:
        standing = self._standing
        seconds = wording.duration(self._clock() - self._begun)
        head = f"step {wording.count(standing.step)}/{wording.count(standing.total)} ({seconds})"
        self._console.print(Text(f"{head}: {text}"), soft_wrap=True)


class LiveDisplay(Progress):
    """A progress bar, the figures of the moment and the slots; news scrolls by above them."""

    def __init__(self, console: Console) -> None:
        self._standing = Standing()
        super().__init__(
            TextColumn("[figure]training"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[quiet]left"),
            TimeRemainingColumn(),
            console=console,
            expand=True,
            refresh_per_second=8,
            transient=True,
        )
        self._task = self.add_task("training", total=None)

    def __call__(self, record: LogEntry) -> None:
        """Take a record in."""
        news = self._standing.take(record)
        self.update(self._task, completed=self._standing.step, total=self._standing.total or None)
        if news is not None:
            step = wording.count(self._standing.step).rjust(8)
            line = Text.assemble((f"{step}  ", "quiet"), (news, news_style(record)))
            self.console.print(line)

    def get_renderables(self) -> Iterator[RenderableType]:
        """What is shown at this moment."""
        yield from super().get_renderables()
        if figures := self._standing.figures():
            yield Text("  " + " · ".join(figures), style="figure")
        yield slots_line(self._standing)


def news_style(record: LogEntry) -> str:
    """How a piece of news looks: what was added green, what went or failed yellow."""
    match record:
        case SeedFossilized() | GraftStarted():
            return "good"
        case RaceDecided() if record.winner is not None:
            return "good"
        case SeedCulled() | SeedRetreated() | SeedIsolated() | RolledBack() | Record():
            return "warn"
    return ""


def slots_line(standing: Standing) -> Text:
    """The slots that hold something, each with its blending coefficient."""
    line = Text("  ")
    blending = {slot: a for slot, a in standing.alpha.items() if a < 1.0}
    for slot, alpha in blending.items():
        filled = round(alpha * ALPHA_CELLS)
        bar = "█" * filled + "░" * (ALPHA_CELLS - filled)
        line.append(f"{slot} ", "name").append(bar, "good").append(f" {alpha:.2f}  ")
    done = [slot for slot, a in standing.alpha.items() if a >= 1.0]
    if done:
        line.append("in: ", "quiet").append(", ".join(done), "good").append("  ")
    if standing.racing is not None:
        line.append(f"race: {standing.racing} candidates in the shadow", "name")
    elif not standing.alpha:
        line.append("all slots dormant", "quiet")
    return line


def print_closing(console: Console, result: RunResult, report: WrittenReport) -> None:
    """Print what a person wants to know at the end of a run."""
    run = report.run
    tale = story.tell(run)
    say(console)
    say(console, (tale.headline, "good" if tale.grown else "figure"))
    for sentence in tale.sentences:
        say(console, (sentence, "quiet"))
    say(console)
    # Metric, size and compute: just before growth, and now.
    print_table(console, ("", "before", "now"), _figures(run), right=("before", "now"))
    # What was added where, and what came out again.
    print_rows(console, map(_addition, run.grafts))
    say(console, ("report: ", "quiet"), (str(report.page), "name"))
    model = result.folder / "model.pt"
    say(console, ("grown model, plain PyTorch: ", "quiet"), (str(model), "name"))


def _figures(run: RunAccount) -> list[tuple[str, str, str]]:
    rows = []
    if run.metric_now is not None:
        before = wording.MISSING if run.metric_before is None else run.score(run.metric_before)
        rows.append((f"held-out {run.metric}", before, run.score(run.metric_now)))
    host = wording.MISSING if run.host_test_metric is None else run.score(run.host_test_metric)
    growth, cost = run.growth, run.growth.cost
    sizes = (wording.count(growth.parameters_before), wording.count(growth.parameters_after))
    rows += [(f"test {run.metric}", host, run.score(run.test_metric)), ("parameters", *sizes)]
    if not cost.static:
        return rows
    spent = (wording.compact(cost.static), wording.compact(cost.total))
    rows.append(("training FLOPs, before: the model as given", *spent))
    parts = {"model": cost.host, "races": cost.shadow, "checks": cost.evaluation}
    rows += [
        (f"  {name}", "", f"{wording.compact(flops)} ({wording.multiple(flops / cost.static)})")
        for name, flops in parts.items()
    ]
    return [*rows, ("  as a multiple", "", wording.multiple(cost.multiple))]


def _addition(graft: Graft) -> Row:
    evidence = graft.verdict.evidence
    return {
        "kernel": findings.blueprint(graft.candidate),
        "layer": graft.candidate.layer_name or "(model)",
        "mode": graft.candidate.mode.value,
        "step": wording.count(graft.chosen.step),
        "held-out gain": wording.signed_percent(evidence.gain) if evidence else wording.MISSING,
        "interval": wording.interval(evidence) if evidence else "",
        "": ("in", "good") if graft.stayed else ("taken out", "warn"),
    }
