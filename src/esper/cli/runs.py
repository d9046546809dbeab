"""`esper runs`: what training runs did, out of the run store."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from esper.cli.console import (
    Row,
    diagnostics,
    output,
    print_error,
    print_facts,
    print_json,
    print_notice,
    print_rows,
    print_table,
    say,
)
from esper.cli.exit_codes import ExitCode, exit_code_of
from esper.cli.lazy import later
from esper.cli.noun import Noun
from esper.cli.options import AsJson, Store, read_choice, read_optional
from esper.cli.run_stores import has_none_yet, named, open_store
from esper.contracts.enums import RunState
from esper.contracts.errors import ConfigError, RunFolderError
from esper.contracts.runs import RunSummary
from esper.core.durable_file import write_durably
from esper.report import findings, wording

with later():
    from esper.report import run_account
    from esper.services.nissa import backfill, run_export, run_store

NOUN = Noun(is_group=True, extra="nissa")

SHORT = 8
"""Characters of an id that are shown where there is little room."""
_NOT_THERE = "—"
_STYLES = {
    RunState.RUNNING: "name",
    RunState.FINISHED: "good",
    RunState.STOPPED_EARLY: "good",
    RunState.INTERRUPTED: "warn",
    RunState.FAILED: "bad",
    RunState.LOST: "bad",
}

Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Id, beginning of an id, `newest`, or the folder of a run."),
]
Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help="Ids, beginnings of ids, `newest`, or folders of runs."),
]


@NOUN.command("list", "esper runs list", "esper runs list --state running --text mnist1d")
async def list_runs(
    *,
    state: Annotated[str | None, typer.Option(metavar="STATE")] = None,
    text: str | None = None,
    limit: Annotated[int, typer.Option(min=1)] = 20,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """List runs, those that began last first.

    Options:
        state: Only runs that are running, finished, stopped_early, interrupted, failed, lost.
        text: Only runs whose name, id or folder contains it.
        limit: Most runs.
    """
    only = read_optional(RunState, state and state.replace(" ", "_"), "--state")
    found: Sequence[RunSummary] = ()
    if not has_none_yet(store):
        async with open_store(store) as opened:
            found = await opened.runs(limit=limit, state=only, text=text)
    if as_json:
        print_json(output(), found)
        return
    if not found:
        print_notice(diagnostics(), "no such runs in the run store")
        return
    rows: Iterable[Row] = (
        {
            "run": run.run_id[:SHORT],
            "name": run.name,
            "state": (run.state.value.replace("_", " "), _STYLES[run.state]),
            "began": f"{run.started_at.astimezone():%m-%d %R}",
            "steps": f"{wording.count(run.step)}/{wording.count(run.total_steps)}",
            "metric": _score(
                run, run.growth_metric if run.test_metric is None else run.test_metric
            ),
            "grew": str(run.fossilized),
        }
        for run in found
    )
    print_rows(output(), rows, right=("steps", "metric", "grew"))


@NOUN.command("show", "esper runs show newest", "esper runs show runs/mnist1d-001")
async def show(*, run: Run = "newest", store: Store = None, as_json: AsJson = False) -> None:
    """Show one run: its figures, what grew, and what was expected of it."""
    async with open_store(store) as opened:
        summary = await named(opened, run)
        impacts = await opened.impacts(summary.run_id)
        alerts = await opened.alerts(summary.run_id, open_only=True)
    console = output()
    if as_json:
        print_json(console, {"run": summary, "impacts": impacts})
        return
    say(console, (f"run {summary.run_id}", "figure"))
    print_facts(console, figures(summary))
    rows = (
        {
            "layer": impact.layer_name,
            "kernel": impact.candidate,
            "step": wording.count(impact.grafted_at),
            "expected": _gain(impact.predicted, impact.predicted_low, impact.predicted_high),
            "came to": _gain(impact.outcome, impact.outcome_low, impact.outcome_high),
            "verdict": findings.OUTCOMES[impact.verdict],
        }
        for impact in impacts
    )
    print_rows(console, rows, right=("step",))
    for alert in alerts:
        say(console, (f"{alert.rule.value}: {alert.message}", "warn"))
    if summary.summary:
        say(console, summary.summary)


@NOUN.command("compare", "esper runs compare 3f2a 91bc", "esper runs compare runs/a runs/b")
async def compare(*, runs: Runs, store: Store = None, as_json: AsJson = False) -> None:
    """Show runs side by side: figures, and the settings in which they differ."""
    async with open_store(store) as opened:
        summaries = [await named(opened, name) for name in runs]
        differing = run_account.differences(
            [await _settings(opened, run.run_id) for run in summaries]
        )
    if as_json:
        print_json(output(), {"runs": summaries, "settings": differing})
        return
    columns = [figures(summary) for summary in summaries]
    rows = [
        (heading, *(column.get(heading, _NOT_THERE) for column in columns))
        for heading in dict.fromkeys(heading for column in columns for heading in column)
    ]
    rows += [
        (name, *(_NOT_THERE if value is None else str(value) for value in values))
        for name, values in differing.items()
    ]
    headings = ("", *(summary.run_id[:SHORT] for summary in summaries))
    print_table(output(), headings, rows)


@NOUN.command(
    "export",
    "esper runs export newest --output curves.csv",
    "esper runs export 3f2a --output curves.parquet",
    "esper runs export 3f2a --format jsonl",
)
async def export(
    *,
    run: Run = "newest",
    form: Annotated[str | None, typer.Option("--format", metavar="FORMAT")] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    store: Store = None,
) -> None:
    """Write a run's curves or its log for other programs.

    Options:
        form: csv and parquet hold the curves, jsonl the whole log; default: by the output's name,
            else csv.
        output: Where to; default: standard output.
    """
    chosen = _format(form, output)
    if output is None and chosen.value == "parquet" and sys.stdout and sys.stdout.isatty():
        raise ConfigError("Parquet is nothing for a terminal: say where to with --output FILE")
    async with open_store(store) as opened:
        data = await run_export.export(opened, (await named(opened, run)).run_id, chosen)
    if output is not None:
        write_durably(output, data)
        print_notice(diagnostics(), f"{output}: {len(data):,} bytes")
    elif sys.stdout is not None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


@NOUN.command("import", "esper runs import runs/mnist1d-001", "esper runs import runs/*")
async def import_(
    *,
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...")],
    replace: bool = False,
    store: Store = None,
) -> int:
    """Take runs in from their folders: what the store lacks of their logs.

    Options:
        folders: Folders of runs.
        replace: Put a run in the place of another one that is stored under its id.
    """
    status: int = ExitCode.OK
    async with open_store(store, make=True) as opened:
        for folder in folders:
            try:
                taken = await backfill.import_folder(opened, folder, replace=replace)
            except RunFolderError as error:
                print_error(diagnostics(), str(error))
                status = exit_code_of(error)
            else:
                for line in taken.refused:
                    print_notice(diagnostics(), f"left out: {line}")
                lines = "line" if taken.new == 1 else "lines"
                say(output(), f"{folder}: {wording.count(taken.new)} new {lines}")
    return status


@NOUN.command("forget", "esper runs forget 3f2a")
async def forget(*, runs: Runs, store: Store = None) -> None:
    """Remove runs from the store. Their folders stay, and can be imported again."""
    async with open_store(store) as opened:
        # All that were named, or none if one is not there.
        found = [await named(opened, name) for name in runs]
        for run_id in {summary.run_id for summary in found}:
            await opened.forget(run_id)
    for summary in found:
        say(output(), f"forgotten: {summary.run_id} ({summary.name}); its folder stays")


def figures(run: RunSummary) -> dict[str, str]:
    """A run's figures by their headings, in the order in which they are shown."""
    known = {
        "name": run.name,
        "state": run.state.value.replace("_", " "),
        "began": _moment(run.started_at),
        "newest line": _moment(run.updated_at),
        "folder": run.folder,
        "resumed": str(run.attempt),
        "steps": f"{wording.count(run.step)} of {wording.count(run.total_steps)}",
        "seed": "" if run.seed is None else str(run.seed),
        "train loss": _loss(run.train_loss),
        "held-out loss": _loss(run.growth_loss),
        f"held-out {run.metric}": _score(run, run.growth_metric),
        "test loss": _loss(run.test_loss),
        f"test {run.metric}": _score(run, run.test_metric),
        "parameters": f"{wording.count(run.parameters_before)} → "
        f"{wording.count(run.parameters_after)}",
        "races": str(run.races),
        "kernels kept": str(run.fossilized),
        "kernels removed": str(run.culled),
        "compute": "" if run.compute is None else wording.multiple(run.compute),
        "time": "" if run.seconds is None else wording.duration(run.seconds),
    }
    return {heading: figure for heading, figure in known.items() if figure}


async def _settings(store: run_store.RunStore, run_id: str) -> Mapping[str, Any]:
    start = await store.lines(run_id, types=("start",), limit=1)
    settings = start[0].body.get("config") if start else None
    return settings if isinstance(settings, dict) else {}


def _format(word: str | None, output: Path | None) -> run_export.ExportFormat:
    """The format that was asked for, or that the file's name says; never two different ones."""
    kind = run_export.ExportFormat
    chosen = None if word is None else read_choice(kind, word, "--format")
    if output is None:
        return chosen or kind.CSV
    known = {f".{form.value}": form for form in kind}
    named = known.get(output.suffix.lower())
    if named is None and chosen is None:
        raise ConfigError(
            f"--output {output}: its name says no format; end it in {', '.join(known)}, or give "
            "--format"
        )
    if named is not None and chosen not in {None, named}:
        raise ConfigError(f"--output {output} is named as {named.value}, not as --format {word}")
    return chosen or named or kind.CSV


def _moment(at: datetime) -> str:
    return f"{at.astimezone():%F %R}"


def _score(run: RunSummary, value: float | None) -> str:
    if value is None:
        return ""
    return wording.score(value, is_percent=wording.is_percentage(run.metric))


def _loss(value: float | None) -> str:
    return "" if value is None else wording.loss(value)


def _gain(gain: float | None, low: float | None, high: float | None) -> str:
    if gain is None:
        return wording.MISSING
    known = wording.signed_percent(gain)
    if low is None or high is None:
        return known
    return f"{known} ({wording.signed_percent(low)} to {wording.signed_percent(high)})"
