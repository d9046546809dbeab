"""Shows runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.runs_requests import RunsCompareRequest
from esper.cli.work.run_stores import named_run, with_store
from esper.cli.work.runs_text import SHORT, figures
from esper.contracts.runs import RunSummary
from esper.services.nissa.run_store import RunStore

Settings = Mapping[str, object]
_NOT_THERE = "—"


def run(request: RunsCompareRequest) -> int:
    """Carry out `esper runs compare`.

    Raises:
        RunNotFoundError: the store lacks one of the runs.
        RunStoreError: the store cannot serve.
    """

    async def read(store: RunStore) -> list[tuple[RunSummary, Settings]]:
        runs = [await named_run(store, name) for name in request.runs]
        return [(summary, await _settings(store, summary.run_id)) for summary in runs]

    found = with_store(request.store, read)
    runs, differing = [one[0] for one in found], differences([one[1] for one in found])
    if request.as_json:
        output().print_json(
            data={
                "runs": [summary.model_dump(mode="json") for summary in runs],
                "settings": differing,
            }
        )
    else:
        output().print(_table(runs, differing))
    return ExitCode.OK


async def _settings(store: RunStore, run_id: str) -> Settings:
    start = await store.lines(run_id, types=("start",), limit=1)
    return flat(start[0].body.get("config")) if start else {}


def flat(value: object, prefix: str = "") -> Settings:
    """Return nested settings by their dotted names."""
    if not isinstance(value, dict):
        return {prefix: value}
    found: dict[str, object] = {}
    for name, inner in value.items():
        found.update(flat(inner, f"{prefix}.{name}" if prefix else str(name)))
    return found


def differences(settings: Sequence[Settings]) -> dict[str, list[object]]:
    """Return the settings that are not the same in all runs, with the value in each."""
    names = dict.fromkeys(name for one in settings for name in one)
    rows = {name: [one.get(name) for one in settings] for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}


def _table(runs: Sequence[RunSummary], differing: Mapping[str, Sequence[object]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for summary in runs:
        table.add_column(summary.run_id[:SHORT], overflow="fold")
    columns = [figures(summary) for summary in runs]
    for heading in dict.fromkeys(heading for column in columns for heading in column):
        cells = (column.get(heading, _NOT_THERE) for column in columns)
        table.add_row(Text(heading, style="quiet"), *cells)
    if differing:
        table.add_section()
    for name, values in differing.items():
        table.add_row(Text(name, style="quiet"), *map(_shown, values))
    return table


def _shown(value: object) -> str:
    return _NOT_THERE if value is None else str(value)
