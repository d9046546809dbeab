"""Lists runs."""

from __future__ import annotations

from esper.cli.console import diagnostics, output, print_notice
from esper.cli.exit_codes import ExitCode
from esper.cli.runs_requests import RunsListRequest
from esper.cli.work.library_text import print_json, read_choice
from esper.cli.work.run_stores import with_store
from esper.cli.work.runs_text import runs_table
from esper.contracts.enums import RunState


def run(request: RunsListRequest) -> int:
    """Carry out `esper runs list`.

    Raises:
        ConfigError: there is no such state.
        RunStoreError: the store cannot serve.
    """
    state = None
    if request.state is not None:
        state = read_choice(RunState, request.state.replace(" ", "_"), "--state")
    runs = with_store(
        request.store,
        lambda store: store.runs(limit=request.limit, state=state, text=request.text),
    )
    if request.as_json:
        print_json(output(), runs)
    elif runs:
        output().print(runs_table(runs))
    else:
        print_notice(diagnostics(), "no such runs in the run store")
    return ExitCode.OK
