"""Removes runs from the run store."""

from __future__ import annotations

from rich.text import Text

from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.runs_requests import RunsForgetRequest
from esper.cli.work.run_stores import named_run, with_store
from esper.contracts.runs import RunSummary
from esper.services.nissa.run_store import RunStore


def run(request: RunsForgetRequest) -> int:
    """Carry out `esper runs forget`: all runs that were named, or none if one is not there.

    Raises:
        RunNotFoundError: the store lacks one of the runs.
        RunStoreError: the store cannot serve.
    """

    async def forget(store: RunStore) -> list[RunSummary]:
        runs = [await named_run(store, name) for name in request.runs]
        for run_id in {summary.run_id for summary in runs}:
            await store.forget(run_id)
        return runs

    for summary in with_store(request.store, forget):
        text = Text(f"forgotten: {summary.run_id} ({summary.name}); its folder stays")
        output().print(text, soft_wrap=True)
    return ExitCode.OK
