"""Lists the tokens of a library."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from esper import bootstrap
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import TokenListRequest
from esper.cli.work.library_text import print_json
from esper.cli.work.local_library import with_library
from esper.contracts.library import Page, TokenRecord


def run(request: TokenListRequest) -> int:
    """Carry out `esper urza token list`.

    Raises:
        LibraryError: the library refused, or its stores cannot be reached.
    """
    found: list[TokenRecord] = []
    cursor = None
    while True:
        page = _page(request, cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    console = output()
    if request.as_json:
        print_json(console, found)
        return ExitCode.OK
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("token", "for", "roles", "until (UTC)", ""):
        table.add_column(heading, overflow="fold")
    for record in found:
        table.add_row(
            Text(record.token_id, style="name"),
            record.name,
            ", ".join(record.roles),
            f"{record.expires_at:%F %R}",
            Text("revoked", style="warn") if record.revoked else "",
        )
    console.print(table)
    return ExitCode.OK


def _page(request: TokenListRequest, cursor: str | None) -> Page[TokenRecord]:
    if request.urza is None:
        return with_library(request.folder, lambda library: library.tokens.list(cursor, 100))
    with bootstrap.library(request.urza) as library:
        return library.tokens(cursor=cursor)
