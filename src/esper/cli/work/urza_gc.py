"""Removes blobs that no kernel refers to."""

from __future__ import annotations

from esper import bootstrap
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import UrzaGcRequest
from esper.cli.work.local_library import LOCAL, settings, with_library
from esper.contracts.library import GarbageReport
from esper.report import wording


def run(request: UrzaGcRequest) -> int:
    """Carry out `esper urza gc`.

    Raises:
        LibraryError: the library refused, or its stores cannot be reached.
    """
    report = _remote(request) if request.urza is not None else _local(request)
    done = "would be removed" if request.dry_run else "removed"
    blobs = "1 blob" if report.blobs == 1 else f"{wording.count(report.blobs)} blobs"
    output().print(f"{blobs}, {wording.count(report.bytes)} bytes {done}", soft_wrap=True)
    return ExitCode.OK


def _grace(request: UrzaGcRequest) -> float | None:
    return None if request.grace_hours is None else 3600 * request.grace_hours


def _remote(request: UrzaGcRequest) -> GarbageReport:
    with bootstrap.library(request.urza) as library:
        return library.collect_garbage(grace_seconds=_grace(request), dry_run=request.dry_run)


def _local(request: UrzaGcRequest) -> GarbageReport:
    grace = _grace(request)
    seconds = settings(request.folder).gc_grace_seconds if grace is None else grace
    return with_library(
        request.folder,
        lambda library: library.garbage.collect(LOCAL, seconds, request.dry_run),
    )
