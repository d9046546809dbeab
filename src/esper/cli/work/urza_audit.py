"""Shows a library's audit log, or has its chain checked."""

from __future__ import annotations

import json

from rich.console import Console
from rich.text import Text

from esper import bootstrap
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import UrzaAuditRequest
from esper.cli.work.library_text import print_json
from esper.cli.work.local_library import with_library
from esper.contracts.library import AuditEntry, Page
from esper.report import wording


def run(request: UrzaAuditRequest) -> int:
    """Carry out `esper urza audit`.

    Raises:
        LibraryError: the chain is broken, or the library refused.
    """
    console = output()
    if request.verify:
        entries = _verified(request)
        console.print(f"{wording.count(entries)} entries, each seals the one before: good")
        return ExitCode.OK
    found: list[AuditEntry] = []
    cursor = None
    while len(found) < request.limit:
        page = _page(request, cursor, min(100, request.limit - len(found)))
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    if request.as_json:
        print_json(console, found)
    for entry in found if not request.as_json else ():
        _print(console, entry)
    return ExitCode.OK


def _verified(request: UrzaAuditRequest) -> int:
    if request.urza is None:
        return with_library(request.folder, lambda library: library.audit.verify())
    with bootstrap.library(request.urza) as library:
        return library.verify_audit()


def _page(request: UrzaAuditRequest, cursor: str | None, limit: int) -> Page[AuditEntry]:
    if request.urza is None:
        return with_library(request.folder, lambda library: library.audit.entries(cursor, limit))
    with bootstrap.library(request.urza) as library:
        return library.audit(cursor=cursor, limit=limit)


def _print(console: Console, entry: AuditEntry) -> None:
    text = Text.assemble(
        (f"{entry.sequence:>6}  {entry.at:%F %T}  ", "quiet"),
        (entry.actor, "name"),
        f"  {entry.action}  {entry.subject}",
    )
    if entry.detail:
        text.append(f"  {json.dumps(entry.detail, ensure_ascii=True)}", "quiet")
    console.print(text, soft_wrap=True)
