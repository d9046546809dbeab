"""The runbook as pages show it: one section for each rule of alerts. `docs/runbook.md` is its text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markupsafe import Markup

_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def sections(text: str) -> Mapping[str, Markup]:
    """Return the text below each second heading, by its words; links to other files are words."""
    pieces = re.split(r"^## (.+)$", _LINK.sub(r"\1", text), flags=re.MULTILINE)
    markdown = MarkdownIt("commonmark", {"html": False})
    return {
        title.strip(): Markup(markdown.render(body))  # noqa: S704  # our own text
        for title, body in zip(pieces[1::2], pieces[2::2], strict=True)
    }


RUNBOOK: Final = sections(Path(__file__).with_name("runbook.md").read_text(encoding="utf-8"))
