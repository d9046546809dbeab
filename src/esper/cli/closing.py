"""The end of a run on the terminal: the sentence, the table, and where everything lies."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from esper.cli.console import print_table, say
from esper.report import findings, story, wording
from esper.report.run_account import RunAccount
from esper.report.write import WrittenReport
from esper.services.tolaria.result import RunResult


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
    if run.grafts:
        # What was added where, and what came out again.
        headings = ("kernel", "layer", "mode", "step", "held-out gain", "interval", "")
        print_table(console, headings, _additions(run))
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


def _additions(run: RunAccount) -> list[tuple[str | Text, ...]]:
    rows: list[tuple[str | Text, ...]] = []
    for graft in run.grafts:
        evidence = graft.verdict.evidence
        rows.append(
            (
                findings.blueprint(graft.candidate),
                graft.candidate.layer_name or "(model)",
                graft.candidate.mode.value,
                wording.count(graft.chosen.step),
                wording.signed_percent(evidence.gain) if evidence else wording.MISSING,
                story.interval(evidence) if evidence else "",
                Text("in", style="good") if graft.stayed else Text("taken out", style="warn"),
            )
        )
    return rows
