"""The terminal: one console for results, one for everything else, and how tables are shown.

Results go to standard output, progress and errors to standard error, so that `esper ... > file`
gives a clean file. Colour, live displays and drawn tables only on a terminal (`NO_COLOR` and
`FORCE_COLOR` are respected, both by rich); elsewhere a table is plain columns, as wide as they are.
A name that came from outside cannot write to the terminal: its control characters are shown.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter
from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType
from rich.highlighter import JSONHighlighter
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from esper.contracts.errors import CheckpointError
from esper.report.wording import CONTROL, visible

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

Cell = str | Text | tuple[str, str]
"""Text, with a style or without."""
Row = Mapping[str, Cell]
"""Cells by their headings."""

Record = TypeVar("Record")

_ANYTHING: Final = TypeAdapter(Any)

_GONE: Final = {errno.EPIPE, errno.EIO, errno.EBADF}
"""What a write says where nobody reads any more: a pipe, a terminal, a file that was closed."""


class Terminal(Console):
    """A console on which text is only text, and that falls silent when nobody reads it."""

    def __init__(self, **given: Any) -> None:
        # The terminal wraps, not we: a line of ours stays one line in a file.
        super().__init__(theme=THEME, highlight=False, markup=False, soft_wrap=True, **given)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render as rich does, with control characters of texts made visible."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Fall silent; rich itself would end the program, and with it a training."""
        self.quiet = True
        if self.file.closed:
            return
        # What Python still holds for the old place is written when it exits.
        silence, place = os.open(os.devnull, os.O_WRONLY), self.file.fileno()
        if silence != place:
            os.dup2(silence, place)
            os.close(silence)

    def _write_buffer(self) -> None:
        try:
            super()._write_buffer()
        except OSError as error:
            if error.errno in _GONE or self.stderr:  # what is told must not end what is done
                raise BrokenPipeError(error.errno, "nobody reads any more") from error
            self.on_broken_pipe()
            raise CheckpointError(f"standard output cannot be written: {error.strerror}") from error


def output() -> Terminal:
    """Where results go."""
    return Terminal()


def diagnostics() -> Terminal:
    """Where progress, notices and errors go."""
    return Terminal(stderr=True)


def say(console: Console, *parts: Cell) -> None:
    """Print one line of pieces, each a text or a text with its style."""
    shown = (part if isinstance(part, Text) else _piece(part) for part in parts)
    console.print(Text.assemble(*shown), soft_wrap=True)


def _piece(part: str | tuple[str, str]) -> str | tuple[str, str]:
    return visible(part) if isinstance(part, str) else (visible(part[0]), part[1])


def print_error(console: Console, message: str) -> None:
    """Print an error as one clear line (wrapped by the terminal, never by us)."""
    say(console, ("Error: ", "bad"), (message, "red"))


def print_notice(console: Console, message: str) -> None:
    """Print something that a person should know but need not act upon."""
    say(console, (message, "warn"))


def print_table(
    console: Console,
    headings: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    right: Iterable[str] = (),
    title: str | None = None,
) -> None:
    """Print a table: drawn and fitted on a terminal, elsewhere plain columns that nothing cuts.

    Args:
        console: Where to.
        headings: Of the columns; all empty for none.
        rows: Cells, in the order of the headings.
        right: Headings of the columns that are aligned to the right.
        title: Stands above it.
    """
    right, cells = set(right), [list(map(_cell, row)) for row in rows]
    if not console.is_terminal:
        heads = [list(map(_cell, headings))] if any(headings) else []
        columns = _columns([*heads, *cells], [heading in right for heading in headings])
        console.print("\n".join([title, *columns] if title else columns), soft_wrap=True)
        return
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_header=any(headings),
        title=title,
        title_justify="left",
    )
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in cells:
        table.add_row(*row)
    console.print(table, soft_wrap=False)


def print_rows(
    console: Console, rows: Iterable[Row], *, right: Iterable[str] = (), title: str | None = None
) -> None:
    """Print a table of rows that all have the same headings; nothing where there is no row."""
    found = list(rows)
    if found:
        cells = [list(row.values()) for row in found]
        print_table(console, list(found[0]), cells, right=right, title=title)


def print_facts(console: Console, facts: Mapping[str, Cell], *, title: str | None = None) -> None:
    """Print names and what they stand for, one a line."""
    rows = [((name, "quiet"), value) for name, value in facts.items()]
    print_table(console, ("", ""), rows, title=title)


def print_each(
    found: Sequence[Record], told: Callable[[Console, Record], None], *, as_json: bool
) -> None:
    """Print records where results go: all of them as JSON, or each of them for people."""
    console = output()
    if as_json:
        print_json(console, found)
        return
    for record in found:
        told(console, record)


def print_json(console: Console, data: Any) -> None:
    """Print data, or contracts in it, as JSON: the one way in which `--json` answers."""
    print_json_line(console, _ANYTHING.dump_json(data, indent=2).decode())


def print_json_line(console: Console, text: str) -> None:
    """Print what is JSON already, as it stands."""
    shown = Text(CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text))
    JSONHighlighter().highlight(shown)
    console.print(shown, soft_wrap=True)


def _columns(rows: Sequence[Sequence[Text]], right: Sequence[bool]) -> list[str]:
    """Lay rows out as lines, each column as wide as its widest cell."""
    widths = [max(map(cell_len, map(str, column))) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            " " * (width - cell_len(cell.plain)) + cell.plain
            if is_right
            else set_cell_size(cell.plain, width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def _cell(cell: Any) -> Text:
    """A cell is one line of text: a name with an end of line in it must not become two rows."""
    if isinstance(cell, tuple):
        cell = Text(*cell)
    plain = cell.plain if isinstance(cell, Text) else str(cell)
    shown = visible(plain).replace("\n", r"\n")
    if isinstance(cell, Text):
        return cell if shown == plain else Text(shown, style=cell.style)
    return Text(shown)
