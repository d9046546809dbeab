"""How help is written: every command ends with examples that can be copied."""

from __future__ import annotations

from collections.abc import Iterable

from esper.cli.exit_codes import MEANINGS


def examples(*lines: str) -> str:
    """Lay out examples for the end of a command's help, one a line."""
    return _block("Examples", (f"$ {line}" for line in lines))


def exit_codes() -> str:
    """Lay out the exit codes for the end of the main help."""
    return _block("Exit codes", (f"{code.value:>3}  {text}" for code, text in MEANINGS.items()))


def _block(title: str, lines: Iterable[str]) -> str:
    """A title and indented lines; the leading backspace keeps click from joining them."""
    return "\n".join(["\b", f"[bold]{title}[/bold]", *(f"  {escaped(line)}" for line in lines)])


def escaped(text: str) -> str:
    """Keep square brackets from being read as markup."""
    return text.replace("[", r"\[")
