"""`esper runs`: what training runs did, out of the run store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.runs_requests import (
    RunsCompareRequest,
    RunsExportRequest,
    RunsForgetRequest,
    RunsImportRequest,
    RunsListRequest,
    RunsShowRequest,
)

app = typer.Typer(
    help="Show, compare and export training runs.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Run store, sqlite:///<file> or postgresql://…; default: $ESPER_RUN_STORE, that of "
        "the platform that runs here, or your own.",
    ),
]
Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Id, beginning of an id, `newest`, or the folder of a run."),
]
Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help="Ids, beginnings of ids, `newest`, or folders of runs."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

LIST_EXAMPLES = examples("esper runs list", "esper runs list --state running --text mnist1d")
SHOW_EXAMPLES = examples("esper runs show newest", "esper runs show runs/mnist1d-001")
COMPARE_EXAMPLES = examples("esper runs compare 3f2a 91bc", "esper runs compare runs/a runs/b")
EXPORT_EXAMPLES = examples(
    "esper runs export newest --output curves.csv",
    "esper runs export 3f2a --output curves.parquet",
    "esper runs export 3f2a --format jsonl",
)
IMPORT_EXAMPLES = examples("esper runs import runs/mnist1d-001", "esper runs import runs/*")
FORGET_EXAMPLES = examples("esper runs forget 3f2a")


@app.command(name="list", epilog=LIST_EXAMPLES)
def list_(
    context: typer.Context,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="STATE",
            help="Only runs that are running, finished, stopped_early, interrupted, failed, lost.",
        ),
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Only runs whose name, id or folder contains it.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most runs.")] = 20,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """List runs, those that began last first."""
    request = RunsListRequest(store=store, state=state, text=text, limit=limit, as_json=as_json)
    carry_out(context, "runs_list", request)


@app.command(name="show", epilog=SHOW_EXAMPLES)
def show(
    context: typer.Context, run: Run = "newest", store: Store = None, as_json: AsJson = False
) -> None:
    """Show one run: its figures, what grew, and what was expected of it."""
    carry_out(context, "runs_show", RunsShowRequest(store=store, run=run, as_json=as_json))


@app.command(name="compare", epilog=COMPARE_EXAMPLES)
def compare(
    context: typer.Context, runs: Runs, store: Store = None, as_json: AsJson = False
) -> None:
    """Show runs side by side: figures, and the settings in which they differ."""
    request = RunsCompareRequest(store=store, runs=tuple(runs), as_json=as_json)
    carry_out(context, "runs_compare", request)


@app.command(name="export", epilog=EXPORT_EXAMPLES)
def export(
    context: typer.Context,
    run: Run = "newest",
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="csv and parquet hold the curves, jsonl the whole log; default: by the output's "
            "name, else csv.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to; default: standard output."),
    ] = None,
    store: Store = None,
) -> None:
    """Write a run's curves or its log for other programs."""
    request = RunsExportRequest(store=store, run=run, form=form, output=output)
    carry_out(context, "runs_export", request)


@app.command(name="import", epilog=IMPORT_EXAMPLES)
def import_(
    context: typer.Context,
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of runs.")],
    replace: Annotated[
        bool,
        typer.Option(help="Put a run in the place of another one that is stored under its id."),
    ] = False,
    store: Store = None,
) -> None:
    """Take runs in from their folders: what the store lacks of their logs."""
    request = RunsImportRequest(store=store, folders=tuple(folders), replace=replace)
    carry_out(context, "runs_import", request)


@app.command(name="forget", epilog=FORGET_EXAMPLES)
def forget(context: typer.Context, runs: Runs, store: Store = None) -> None:
    """Remove runs from the store. Their folders stay, and can be imported again."""
    carry_out(context, "runs_forget", RunsForgetRequest(store=store, runs=tuple(runs)))
