"""`esper urza token`: who may do what in a library."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.text import Text

from esper.cli.console import diagnostics, output, print_json, print_notice, print_table, say
from esper.cli.library_text import collect
from esper.cli.local_library import LOCAL, ask
from esper.cli.noun import Noun
from esper.cli.options import AsJson, Folder, Remote, first_problem, read_choice
from esper.contracts.enums import Role
from esper.contracts.errors import ConfigError
from esper.contracts.library import IssuedToken, TokenRequest

NOUN = Noun("Who may do what in a library.", extra="urza")

_ROLES = ", ".join(role.value for role in Role)


@NOUN.command(
    "issue",
    "esper urza token issue laptop --role trainer --role compiler --days 30",
    "esper urza token issue ci --role reader -o ci.token",
)
def issue(
    *,
    name: Annotated[str, typer.Argument(help="For whom or what; the audit log names it.")],
    roles: Annotated[
        list[str], typer.Option("--role", help=f"What it may do: {_ROLES}; may be repeated.")
    ],
    days: Annotated[float, typer.Option(min=0.001, max=3650, help="Until it expires.")] = 90,
    file: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the secret there, for its owner only."
        ),
    ] = None,
    folder: Folder = None,
    urza: Remote = None,
) -> None:
    """Make a token. Its secret is shown this once: the library keeps a digest of it only."""
    chosen = tuple(read_choice(Role, role, "--role") for role in roles)
    try:
        wanted = TokenRequest(name=name, roles=chosen, days=days)
    except ValidationError as problem:
        raise ConfigError(
            f"no token can be made: {first_problem(problem)}; a name has 1 to 64 of "
            "A-Z a-z 0-9 . _ -, and begins with a letter or a digit"
        ) from None

    def issued() -> IssuedToken:
        return ask(
            urza,
            folder,
            lambda client: client.issue_token(wanted),
            lambda library: library.tokens.issue(LOCAL, wanted),
            make=True,
        )

    if file is None:
        token, where = issued(), "is shown this once"
        say(output(), token.secret)
    else:
        # The file first: a token that cannot be written down would be lost, and still be valid.
        descriptor = _new_file(file)
        try:
            token, where = issued(), f"was written to {file}"
        except BaseException:
            os.close(descriptor)
            file.unlink()
            raise
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(token.secret + "\n")
    record = token.record
    print_notice(
        diagnostics(),
        f"token {record.token_id} for {record.name}: {', '.join(record.roles)}, until "
        f"{record.expires_at:%F %R} UTC; its secret {where}",
    )


@NOUN.command("list", "esper urza token list")
def list_tokens(*, folder: Folder = None, urza: Remote = None, as_json: AsJson = False) -> None:
    """List the tokens, without their secrets."""
    found = collect(
        lambda cursor, size: ask(
            urza,
            folder,
            lambda client: client.tokens(cursor=cursor, limit=size),
            lambda library: library.tokens.list(cursor, size),
        )
    )
    if as_json:
        print_json(output(), found)
        return
    rows = [
        (
            Text(record.token_id, style="name"),
            record.name,
            ", ".join(record.roles),
            f"{record.expires_at:%F %R}",
            Text("revoked" if record.revoked else "", style="warn"),
        )
        for record in found
    ]
    print_table(output(), ("token", "for", "roles", "until (UTC)", ""), rows)


@NOUN.command("revoke", "esper urza token revoke 3f1c...")
def revoke(
    *,
    token_ids: Annotated[
        list[str], typer.Argument(metavar="TOKEN_ID...", help="As `list` shows them.")
    ],
    folder: Folder = None,
    urza: Remote = None,
) -> None:
    """Take tokens back."""

    def take_back(token_id: str) -> None:
        ask(
            urza,
            folder,
            lambda client: client.revoke_token(token_id),
            lambda library: library.tokens.revoke(LOCAL, token_id),
        )

    for token_id in token_ids:
        take_back(token_id)
        say(output(), (token_id, "name"), ": revoked")


def _new_file(path: Path) -> int:
    try:
        # Created with its mode, not changed to it: at no moment may others read it.
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"--output {path}: {error.strerror}; name a new file") from error
