"""`esper urza`: runs and keeps a library of blueprints and kernels."""

from __future__ import annotations

from typing import Annotated

import typer

from esper.cli.commands import library_options, urza_token
from esper.cli.help import examples
from esper.cli.late import carry_out
from esper.cli.library_requests import (
    UrzaAuditRequest,
    UrzaGcRequest,
    UrzaMigrateRequest,
    UrzaServeRequest,
)

app = typer.Typer(
    help="Run and keep a library of blueprints and kernels.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(urza_token.app, name="token")

SERVE_EXAMPLES = examples(
    "esper urza serve",
    "esper urza serve --folder library --port 8420",
    "ESPER_URZA_AUTH=token esper urza serve --host 0.0.0.0",
)
MIGRATE_EXAMPLES = examples("esper urza migrate", "esper urza migrate --check")
GC_EXAMPLES = examples("esper urza gc --dry-run", "esper urza gc --grace-hours 48")
AUDIT_EXAMPLES = examples("esper urza audit --limit 20", "esper urza audit --verify")


@app.command(name="serve", epilog=SERVE_EXAMPLES)
def serve(
    context: typer.Context,
    folder: library_options.Folder = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address to listen on; default: 127.0.0.1."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Default: 8420; 0 takes a free one.")
    ] = None,
) -> None:
    """Serve a library until SIGTERM or Ctrl-C; settings come from ESPER_URZA_<SETTING>."""
    carry_out(context, "urza_serve", UrzaServeRequest(folder=folder, host=host, port=port))


@app.command(name="migrate", epilog=MIGRATE_EXAMPLES)
def migrate(
    context: typer.Context,
    folder: library_options.Folder = None,
    down: Annotated[
        str | None,
        typer.Option(metavar="REVISION", help="Go back to this revision; base is the empty one."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 if there is work.")
    ] = False,
) -> None:
    """Bring a library's database to this version's form, making it if there is none."""
    request = UrzaMigrateRequest(folder=folder, down=down, check=check)
    carry_out(context, "urza_migrate", request)


@app.command(name="gc", epilog=GC_EXAMPLES)
def gc(
    context: typer.Context,
    folder: library_options.Folder = None,
    urza: library_options.Remote = None,
    grace_hours: Annotated[
        float | None,
        typer.Option(min=0, help="Spare blobs younger than this; default: the library's setting."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove blobs that no kernel refers to."""
    request = UrzaGcRequest(folder=folder, urza=urza, grace_hours=grace_hours, dry_run=dry_run)
    carry_out(context, "urza_gc", request)


@app.command(name="audit", epilog=AUDIT_EXAMPLES)
def audit(
    context: typer.Context,
    folder: library_options.Folder = None,
    urza: library_options.Remote = None,
    limit: library_options.Limit = 50,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the whole chain in place of showing it.")
    ] = False,
    as_json: library_options.AsJson = False,
) -> None:
    """Show who changed what, oldest first, or check that nothing was altered afterwards."""
    request = UrzaAuditRequest(
        folder=folder, urza=urza, limit=limit, verify=verify, as_json=as_json
    )
    carry_out(context, "urza_audit", request)
