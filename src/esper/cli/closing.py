"""The end of a run on the terminal: the sentence, the table, and where everything lies."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from esper.report import findings, story, wording
from esper.report.run_account import RunAccount
from esper.report.write import WrittenReport
from esper.services.tolaria.result import RunResult


def print_closing(console: Console, result: RunResult, report: WrittenReport) -> None:
    """Print what a person wants to know at the end of a run."""
    tale = story.tell(report.run)
    console.print()
    console.print(Text(tale.headline, style="good" if tale.grown else "figure"))
    for sentence in tale.sentences:
        console.print(Text(sentence, style="quiet"))
    console.print()
    console.print(figures(report.run))
    added = additions(report.run)
    if added.row_count:
        console.print(added)
    for what, path in (
        ("report", report.page),
        ("grown model, plain PyTorch", result.folder / "model.pt"),
    ):
        line = Text.assemble((f"{what}: ", "quiet"), (str(path), "name"))
        console.print(line, soft_wrap=True)


def figures(run: RunAccount) -> Table:
    """Metric, size and compute: just before growth, and now."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "before", "now"):
        table.add_column(heading, justify="left" if not heading else "right")
    if run.metric_now is not None:
        before = run.metric_before
        first = "—" if before is None else run.score(before)
        table.add_row(f"held-out {run.metric}", first, run.score(run.metric_now))
    host = run.host_test_metric
    table.add_row(
        f"test {run.metric}", "—" if host is None else run.score(host), run.score(run.test_metric)
    )
    table.add_row(
        "parameters",
        wording.count(run.growth.parameters_before),
        wording.count(run.growth.parameters_after),
    )
    cost = run.growth.cost
    if cost.static:
        spent = (wording.compact(cost.static), wording.compact(cost.total))
        table.add_row("training FLOPs, before: the model as given", *spent)
        for name, flops in (
            ("model", cost.host),
            ("races", cost.shadow),
            ("checks", cost.evaluation),
        ):
            share = f"{wording.compact(flops)} ({wording.multiple(flops / cost.static)})"
            table.add_row(f"  {name}", "", share)
        table.add_row("  as a multiple", "", wording.multiple(cost.multiple))
    return table


def additions(run: RunAccount) -> Table:
    """What was added where, and what came out again."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("kernel", "layer", "mode", "step", "held-out gain", "interval", ""):
        table.add_column(heading, overflow="fold")
    for graft in run.grafts:
        evidence = graft.verdict.evidence
        table.add_row(
            findings.blueprint(graft.candidate),
            graft.candidate.layer_name or "(model)",
            graft.candidate.mode.value,
            wording.count(graft.chosen.step),
            wording.signed_percent(evidence.gain) if evidence else wording.MISSING,
            story.interval(evidence) if evidence else "",
            Text("in", style="good") if graft.stayed else Text("taken out", style="warn"),
        )
    return table
