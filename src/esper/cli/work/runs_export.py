"""Writes a run for other programs."""

from __future__ import annotations

import sys
from pathlib import Path

from esper.cli.console import diagnostics, print_notice
from esper.cli.exit_codes import ExitCode
from esper.cli.runs_requests import RunsExportRequest
from esper.cli.work.library_text import read_choice
from esper.cli.work.run_stores import named_run, with_store
from esper.contracts.errors import ConfigError
from esper.core.durable_file import write_durably
from esper.services.nissa.run_export import ExportFormat, export
from esper.services.nissa.run_store import RunStore


def run(request: RunsExportRequest) -> int:
    """Carry out `esper runs export`.

    Raises:
        ConfigError: there is no such format, or its package is not installed.
        CheckpointError: the file cannot be written.
        RunNotFoundError: the store has no such run.
        RunStoreError: the store cannot serve.
    """
    form = _format(request.form, request.output)

    async def read(store: RunStore) -> bytes:
        return await export(store, (await named_run(store, request.run)).run_id, form)

    data = with_store(request.store, read)
    if request.output is not None:
        write_durably(request.output, data)
        print_notice(diagnostics(), f"{request.output}: {len(data):,} bytes")
        return ExitCode.OK
    if form is ExportFormat.PARQUET and sys.stdout.isatty():
        raise ConfigError("Parquet is nothing for a terminal: say where to with --output FILE")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return ExitCode.OK


def _format(word: str | None, output: Path | None) -> ExportFormat:
    if word is not None:
        return read_choice(ExportFormat, word, "--format")
    suffix = "" if output is None else output.suffix.removeprefix(".")
    return next((form for form in ExportFormat if form.value == suffix), ExportFormat.CSV)
