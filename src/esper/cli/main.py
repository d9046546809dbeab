"""Entry point of the `esper` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from esper.cli.app import app
from esper.utils.home import keep_private

NEWEST = "newest"
"""What `--resume` without a folder means."""


def main() -> None:
    """Run the command that `sys.argv` asks for, and exit with its status."""
    # torch reads it when it is first imported, which has not happened yet. With OpenMP's default,
    # idle threads spin: one busy neighbour makes training many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed before we began, as `>&-` does
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif isinstance(stream, TextIOWrapper):
            # A terminal or file that cannot hold a character gets it spelt out, not a traceback.
            stream.reconfigure(errors="backslashreplace")
    keep_private()
    app(args=complete_resume(sys.argv[1:]), prog_name="esper")


def complete_resume(arguments: Sequence[str]) -> list[str]:
    """Give a `--resume` that names no folder its default: the newest run."""
    completed = list(arguments)
    for position, argument in enumerate(arguments):
        following = arguments[position + 1] if position + 1 < len(arguments) else "-"
        if argument == "--resume" and following.startswith("-"):
            completed[position] = f"--resume={NEWEST}"
    return completed
