"""Docstrings as Markdown: Google sections become lists, reST roles become code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

ROLE = re.compile(r":[a-z:]+:`~?([^`]+)`")
DOUBLE = re.compile(r"``([^`]+)``")
SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields|Example|Examples|Note):(.*)$")
ITEM = re.compile(r"^(\*{0,2}\w[\w.*]*)(?: \([^)]*\))?: (.*)$")
LISTED = {"Args", "Attributes", "Raises"}


def inline(text: str) -> str:
    """A line with reST's spellings of code turned into Markdown's."""
    return DOUBLE.sub(r"`\1`", ROLE.sub(r"`\1`", text))


def cell(text: str) -> str:
    """Text for a table's cell: one line, bars escaped."""
    return inline(" ".join(text.split())).replace("|", r"\|")


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown(docstring: str) -> str:
    r"""A Google-style docstring as Markdown.

    Example:
        >>> print(markdown("Do it.\\n\\nArgs:\\n    x: what."))
        Do it.
        <BLANKLINE>
        **Args**
        <BLANKLINE>
        - `x`: what.
    """
    blocks: list[str] = []
    for name, lines in _sections(inspect.cleandoc(docstring).splitlines()):
        body = inspect.cleandoc("\n".join(lines))
        if not body:
            continue
        if name is None:
            blocks.append(_plain(body))
        elif name.startswith("Example"):
            blocks.append(f"```pycon\n{body}\n```" if ">>>" in body else f"**{name}**: {body}")
        elif name in LISTED:
            blocks.append(f"**{name}**\n\n" + "\n".join(_items(body.splitlines())))
        else:
            blocks.append(f"**{name}**: {inline(body)}")
    return "\n\n".join(blocks)


def _sections(lines: list[str]) -> list[tuple[str | None, list[str]]]:
    found: list[tuple[str | None, list[str]]] = [(None, [])]
    for line in lines:
        match = SECTION.match(line)
        if match:
            found.append((match[1], [match[2].strip()] if match[2].strip() else []))
        elif found[-1][0] is not None and line and not line.startswith(" "):
            found.append((None, [line]))
        else:
            found[-1][1].append(line)
    return found


def _plain(body: str) -> str:
    # A lone "::" announces a literal block, which Markdown knows by its indentation.
    return "\n".join(
        line if line.startswith("    ") else inline(line)
        for line in body.splitlines()
        if line.strip() != "::"
    )


def _items(lines: list[str]) -> list[str]:
    items: list[str] = []
    for line in lines:
        match = None if line.startswith(" ") else ITEM.match(line)
        if match:
            items.append(f"- `{match[1]}`: {inline(match[2])}")
        elif line.strip():
            items.append(f"  {inline(line.strip())}" if items else f"- {inline(line.strip())}")
    return items
