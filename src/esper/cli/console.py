"""The terminal: one console for results, one for everything else.

Colour and live displays only on a terminal; `NO_COLOR` and `FORCE_COLOR` are respected (both by
rich). Results go to standard output, progress and errors to standard error, so that
`esper ... > file` gives a clean file.
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text
from rich.theme import Theme

THEME = Theme(
    {
        "good": "bold green",
        "bad": "bold red",
        "warn": "yellow",
        "quiet": "bright_black",
        "name": "cyan",
        "figure": "bold",
    }
)


def output() -> Console:
    """Where results go."""
    return Console(theme=THEME, highlight=False, soft_wrap=False)


def diagnostics() -> Console:
    """Where progress, notices and errors go."""
    return Console(theme=THEME, highlight=False, stderr=True)


def print_error(console: Console, message: str) -> None:
    """Print an error as one clear line (wrapped by the terminal, never by us)."""
    line = Text.assemble(("Error: ", "bad"), (message, "red"))
    console.print(line, soft_wrap=True)


def print_notice(console: Console, message: str) -> None:
    """Print something that a person should know but need not act upon."""
    console.print(Text(message, style="warn"), soft_wrap=True)
