"""Takes runs in from their folders."""

from __future__ import annotations

from rich.text import Text

from esper.cli.console import diagnostics, output, print_error, print_notice
from esper.cli.exit_codes import ExitCode, exit_code_of
from esper.cli.runs_requests import RunsImportRequest
from esper.cli.work.run_stores import with_store
from esper.contracts.errors import RunFolderError
from esper.report import wording
from esper.services.nissa.backfill import import_folder
from esper.services.nissa.run_store import RunStore


def run(request: RunsImportRequest) -> int:
    """Carry out `esper runs import`: a folder without a run does not keep the others out.

    Returns:
        `ExitCode.FILE` if one of the folders holds no run.

    Raises:
        RunStoreError: the store cannot serve.
    """

    async def take_in(store: RunStore) -> int:
        status: int = ExitCode.OK
        for folder in request.folders:
            try:
                taken = await import_folder(store, folder, replace=request.replace)
            except RunFolderError as error:
                print_error(diagnostics(), str(error))
                status = exit_code_of(error)
            else:
                for line in taken.refused:
                    print_notice(diagnostics(), f"left out: {line}")
                lines = "line" if taken.new == 1 else "lines"
                text = Text(f"{folder}: {wording.count(taken.new)} new {lines}")
                output().print(text, soft_wrap=True)
        return status

    return with_store(request.store, take_in)
