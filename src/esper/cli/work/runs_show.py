"""Shows one run."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.runs_requests import RunsShowRequest
from esper.cli.work.run_stores import named_run, with_store
from esper.cli.work.runs_text import figures, impacts_table
from esper.contracts.platform_events import Alert
from esper.contracts.runs import Impact, RunSummary
from esper.services.nissa.run_store import RunStore

Known = tuple[RunSummary, Sequence[Impact], Sequence[Alert]]


def run(request: RunsShowRequest) -> int:
    """Carry out `esper runs show`.

    Raises:
        RunNotFoundError: the store has no such run.
        RunStoreError: the store cannot serve.
    """

    async def read(store: RunStore) -> Known:
        summary = await named_run(store, request.run)
        run_id = summary.run_id
        return summary, await store.impacts(run_id), await store.alerts(run_id, open_only=True)

    summary, impacts, alerts = with_store(request.store, read)
    if request.as_json:
        impact_json = [impact.model_dump(mode="json") for impact in impacts]
        output().print_json(data={"run": summary.model_dump(mode="json"), "impacts": impact_json})
        return ExitCode.OK
    _print(summary, impacts, alerts)
    return ExitCode.OK


def _print(summary: RunSummary, impacts: Sequence[Impact], alerts: Sequence[Alert]) -> None:
    console = output()
    console.print(Text(f"run {summary.run_id}", style="figure"), soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    for heading, figure in figures(summary).items():
        table.add_row(Text(heading, style="quiet"), figure)
    console.print(table)
    if impacts:
        console.print(impacts_table(impacts))
    for alert in alerts:
        console.print(Text(f"{alert.rule.value}: {alert.message}", style="warn"), soft_wrap=True)
    if summary.summary:
        console.print(Text(summary.summary), soft_wrap=True)
