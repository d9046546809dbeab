"""The command reference: every command and option, as `--help` has them, and the exit codes."""

from __future__ import annotations

import re
from typing import Any

import typer.main
from docs.generator.prose import cell, table

from esper.cli.app import app
from esper.cli.exit_codes import MEANINGS

MARKUP = re.compile(r"\[/?(?:bold|dim|italic)\]")


def page() -> str:
    """The page."""
    root = typer.main.get_command(app)
    codes = ((str(code.value), text) for code, text in MEANINGS.items())
    parts = [
        "# Command line\n",
        "What `esper --help` says, in one place. Every command ends its own help with examples.\n",
        _command("esper", root),
        "## Exit codes\n",
        table(("code", "meaning"), codes) + "\n",
    ]
    return "\n".join(parts)


def names(command: Any = None, prefix: str = "esper") -> list[tuple[str, Any]]:
    """Every command with its full name, groups before what is in them."""
    command = typer.main.get_command(app) if command is None else command
    found = [(prefix, command)]
    for name, child in getattr(command, "commands", {}).items():
        # A noun is loaded when it is called; what a group lists until then is only its summary.
        loaded = command.load(name) if hasattr(command, "load") else child
        found += names(loaded, f"{prefix} {name}")
    return found


def _command(prefix: str, command: Any) -> str:
    parts = []
    for name, found in names(command, prefix):
        parts.append(f"## `{name}`\n\n{_text(found.help)}\n")
        arguments = [p for p in found.params if p.param_type_name == "argument"]
        options = [p for p in found.params if p.param_type_name == "option"]
        if arguments:
            rows = ((f"`{p.metavar or p.name.upper()}`", cell(p.help or "")) for p in arguments)
            parts.append(table(("argument", "meaning"), rows) + "\n")
        rows = [(_spelling(p), cell(p.help or "") + _required(p)) for p in options]
        if rows:
            parts.append(table(("option", "meaning"), rows) + "\n")
        if found.epilog:
            parts.append(_examples(found.epilog))
    return "\n".join(parts)


def _spelling(option: Any) -> str:
    names = [*sorted(option.opts, key=len, reverse=True), *option.secondary_opts]
    spelling = ", ".join(f"`{name}`" for name in names)
    if option.is_flag:
        return spelling
    kind = option.metavar or option.name.upper()
    return f"{spelling} `{kind}`".replace("|", r"\|")


def _required(option: Any) -> str:
    default = option.default
    if default in (None, False) or not isinstance(default, str | int):
        return ""
    return f" Default: `{default}`."


def _text(text: str | None) -> str:
    return MARKUP.sub("", (text or "").replace("\b\n", "").replace("\b", "")).strip()


def _examples(epilog: str) -> str:
    lines = [line.strip() for line in _text(epilog).splitlines()]
    shown = [line.replace(r"\[", "[") for line in lines if line.startswith("$ ")]
    return "```console\n" + "\n".join(shown) + "\n```\n"
