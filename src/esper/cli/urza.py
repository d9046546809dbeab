"""`esper urza`: runs and keeps a library of blueprints and kernels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, TextIO

import typer
from pydantic import ValidationError
from rich.console import Console

from esper.cli.console import (
    Row,
    diagnostics,
    output,
    print_each,
    print_json,
    print_notice,
    print_rows,
    say,
)
from esper.cli.exit_codes import ExitCode
from esper.cli.lazy import later
from esper.cli.local_library import asked_library, is_missing, settings
from esper.cli.noun import Noun
from esper.cli.options import (
    Address,
    AsJson,
    Folder,
    Limit,
    Remote,
    first_problem,
    read_choice,
    refuse,
)
from esper.contracts.enums import ComponentName, Role
from esper.contracts.errors import ConfigError
from esper.contracts.library import AuditEntry, TokenRequest
from esper.hosting.bus_access import bus_url
from esper.report import wording
from esper.utils.logging import setup_logging

with later():
    from esper.hosting import presence
    from esper.services.urza import kernel_library, urza_app
    from esper.services.urza.client import core

NOUN = Noun(is_group=True, extra="urza")
TOKEN = Noun("Who may do what in a library.", extra="urza")
NOUN.add("token", TOKEN)

_ROLES = ", ".join(role.value for role in Role)


@NOUN.command(
    "serve",
    "esper urza serve",
    "esper urza serve --folder library --port 8420",
    "ESPER_URZA_AUTH=token esper urza serve --host 0.0.0.0",
)
def serve(
    *,
    folder: Folder = None,
    host: Address = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535)] = None,
) -> None:
    """Serve a library until SIGTERM or Ctrl-C; settings come from ESPER_URZA_<SETTING>.

    Options:
        port: Default: 8420; 0 takes a free one.
    """
    config = settings(folder, host=host, port=port)
    setup_logging("urza")
    with presence.presence(bus_url(os.environ), ComponentName.URZA, f"urza-{config.port}"):
        # On standard output, so that a script can read which port it became.
        urza_app.serve(config, started=lambda url: say(output(), url))


@NOUN.command("migrate", "esper urza migrate", "esper urza migrate --check")
async def migrate(
    *,
    folder: Folder = None,
    down: Annotated[str | None, typer.Option(metavar="REVISION")] = None,
    check: Annotated[bool, typer.Option("--check")] = False,
) -> int:
    """Bring a library's database to this version's form, making it if there is none.

    Options:
        down: Go back to this revision; base is the empty one.
        check: Change nothing; exit code 1 if there is work.
    """
    config = settings(folder)
    if check:
        refuse("--check changes nothing: leave one of them out", down=down)
        if is_missing(config):  # looking must not make it
            return _say_revision(None)
    database, schema = kernel_library.open_database(config), kernel_library.SCHEMA
    try:
        before = await schema.current(database)
        if check:
            return _say_revision(before)
        if down is None:
            await schema.upgrade(database)
        else:
            await schema.downgrade(database, down)
        after = await schema.current(database)
        say(output(), f"revision {before or 'none'} → {after or 'none'}")
    finally:
        await database.close()
    return ExitCode.OK


@NOUN.command("gc", "esper urza gc --dry-run", "esper urza gc --grace-hours 48")
def gc(
    *,
    folder: Folder = None,
    urza: Remote = None,
    grace_hours: Annotated[float | None, typer.Option(min=0)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run")] = False,
) -> None:
    """Remove blobs that no kernel refers to.

    Options:
        grace_hours: Spare blobs younger than this; default: the library's setting.
        dry_run: Only say what would go.
    """
    grace = None if grace_hours is None else 3600 * grace_hours
    with asked_library(urza, folder) as library:
        report = library.collect_garbage(grace_seconds=grace, dry_run=dry_run)
    done = "would be removed" if dry_run else "removed"
    blobs = "1 blob" if report.blobs == 1 else f"{wording.count(report.blobs)} blobs"
    say(output(), f"{blobs}, {wording.count(report.bytes)} bytes {done}")


@NOUN.command("audit", "esper urza audit --limit 20", "esper urza audit --verify")
def audit(
    *,
    folder: Folder = None,
    urza: Remote = None,
    limit: Limit = 50,
    verify: Annotated[bool, typer.Option("--verify")] = False,
    as_json: AsJson = False,
) -> None:
    """Show who changed what, oldest first, or check that nothing was altered afterwards.

    Options:
        verify: Check the whole chain in place of showing it.
    """
    if verify:
        refuse("--verify shows no entries", json=as_json)
        with asked_library(urza, folder) as library:
            entries = library.verify_audit()
        say(output(), f"{wording.count(entries)} entries, each seals the one before: good")
        return
    with asked_library(urza, folder) as library:
        found = core.collect(library.audit, limit)
    print_each(found, _print_entry, as_json=as_json)


def _print_entry(console: Console, entry: AuditEntry) -> None:
    detail = f"  {json.dumps(entry.detail, ensure_ascii=True)}" if entry.detail else ""
    say(
        console,
        (f"{entry.sequence:>6}  {entry.at:%F %T}  ", "quiet"),
        (entry.actor, "name"),
        f"  {entry.action}  {entry.subject}",
        (detail, "quiet"),
    )


def _say_revision(revision: str | None) -> int:
    wanted = kernel_library.SCHEMA.latest()
    state = "current" if revision == wanted else f"this version needs {wanted}"
    say(output(), f"revision {revision or 'none'}: {state}")
    return ExitCode.OK if revision == wanted else ExitCode.FAILED


@TOKEN.command(
    "issue",
    "esper urza token issue laptop --role trainer --role compiler --days 30",
    "esper urza token issue ci --role reader -o ci.token",
)
def issue(
    *,
    name: Annotated[str, typer.Argument()],
    roles: Annotated[
        list[str], typer.Option("--role", help=f"What it may do: {_ROLES}; may be repeated.")
    ],
    days: Annotated[float, typer.Option(min=0.001, max=3650)] = 90,
    file: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE")] = None,
    folder: Folder = None,
    urza: Remote = None,
) -> None:
    """Make a token. Its secret is shown this once: the library keeps a digest of it only.

    Options:
        name: For whom or what; the audit log names it.
        days: Until it expires.
        file: Write the secret there, for its owner only.
    """
    chosen = tuple(read_choice(Role, role, "--role") for role in roles)
    try:
        wanted = TokenRequest(name=name, roles=chosen, days=days)
    except ValidationError as problem:
        raise ConfigError(
            f"no token can be made: {first_problem(problem)}; a name has 1 to 64 of "
            "A-Z a-z 0-9 . _ -, and begins with a letter or a digit"
        ) from None
    # The file first: a token that cannot be written down would be lost, and still be valid.
    with nullcontext() if file is None else _new_file(file) as opened:
        with asked_library(urza, folder, make=True) as library:
            token = library.issue_token(wanted)
        if opened is not None:
            opened.write(token.secret + "\n")
    if file is None:
        say(output(), token.secret)
    record, where = token.record, f"was written to {file}" if file else "is shown this once"
    print_notice(
        diagnostics(),
        f"token {record.token_id} for {record.name}: {', '.join(record.roles)}, until "
        f"{record.expires_at:%F %R} UTC; its secret {where}",
    )


@TOKEN.command("list", "esper urza token list")
def list_tokens(*, folder: Folder = None, urza: Remote = None, as_json: AsJson = False) -> None:
    """List the tokens, without their secrets."""
    with asked_library(urza, folder) as library:
        found = core.collect(library.tokens)
    if as_json:
        print_json(output(), found)
        return
    if not found:
        print_notice(diagnostics(), "no token was issued")
    rows: Iterable[Row] = (
        {
            "token": (record.token_id, "name"),
            "for": record.name,
            "roles": ", ".join(record.roles),
            "until (UTC)": f"{record.expires_at:%F %R}",
            "": ("revoked" if record.revoked else "", "warn"),
        }
        for record in found
    )
    print_rows(output(), rows)


@TOKEN.command("revoke", "esper urza token revoke 3f1c...")
def revoke(
    *,
    token_ids: Annotated[list[str], typer.Argument(metavar="TOKEN_ID...")],
    folder: Folder = None,
    urza: Remote = None,
) -> None:
    """Take tokens back.

    Options:
        token_ids: As `list` shows them.
    """
    with asked_library(urza, folder) as library:
        for token_id in token_ids:
            library.revoke_token(token_id)
            say(output(), (token_id, "name"), ": revoked")


@contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    """Make a file for its owner only, which is there after the block if that succeeds."""
    try:
        # Created with its mode, not changed to it: at no moment may others read it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"--output {path}: {error.strerror}; name a new file") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            yield opened
    except BaseException:
        path.unlink()
        raise
