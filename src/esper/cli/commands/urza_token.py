"""`esper urza token`: who may do what in a library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esper.cli.commands import library_options
from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.library_requests import TokenIssueRequest, TokenListRequest, TokenRevokeRequest
from esper.contracts.enums import Role

app = typer.Typer(
    help="Who may do what in a library.", no_args_is_help=True, rich_markup_mode="rich"
)

ISSUE_EXAMPLES = examples(
    "esper urza token issue laptop --role trainer --role compiler --days 30",
    "esper urza token issue ci --role reader -o ci.token",
)
LIST_EXAMPLES = examples("esper urza token list")
REVOKE_EXAMPLES = examples("esper urza token revoke 3f1c...")
_ROLES = ", ".join(role.value for role in Role)


@app.command(name="issue", epilog=ISSUE_EXAMPLES)
def issue(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="For whom or what; the audit log names it.")],
    roles: Annotated[
        list[str], typer.Option("--role", help=f"What it may do: {_ROLES}; may be repeated.")
    ],
    days: Annotated[float, typer.Option(min=0.001, max=3650, help="Until it expires.")] = 90,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write the secret there, for its owner only."
        ),
    ] = None,
    folder: library_options.Folder = None,
    urza: library_options.Remote = None,
) -> None:
    """Make a token. Its secret is shown this once: the library keeps a digest of it only."""
    request = TokenIssueRequest(
        folder=folder, urza=urza, name=name, roles=tuple(roles), days=days, output=output
    )
    carry_out(context, "urza_token_issue", request)


@app.command(name="list", epilog=LIST_EXAMPLES)
def list_tokens(
    context: typer.Context,
    folder: library_options.Folder = None,
    urza: library_options.Remote = None,
    as_json: library_options.AsJson = False,
) -> None:
    """List the tokens, without their secrets."""
    carry_out(
        context, "urza_token_list", TokenListRequest(folder=folder, urza=urza, as_json=as_json)
    )


@app.command(name="revoke", epilog=REVOKE_EXAMPLES)
def revoke(
    context: typer.Context,
    token_ids: Annotated[
        list[str], typer.Argument(metavar="TOKEN_ID...", help="As `list` shows them.")
    ],
    folder: library_options.Folder = None,
    urza: library_options.Remote = None,
) -> None:
    """Take tokens back."""
    request = TokenRevokeRequest(folder=folder, urza=urza, token_ids=tuple(token_ids))
    carry_out(context, "urza_token_revoke", request)
