"""What the documentation's pages hold: code blocks, links, commands."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WRITTEN = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        *(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "reference"),
    ]
)
"""Pages that people write, generated parts of them included."""
PAGES = sorted([*WRITTEN, *(ROOT / "docs" / "reference").glob("*.md")])

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> list[tuple[int, str]]:
    """Code blocks of one language, each with the number of its first line."""
    text = path.read_text(encoding="utf-8")
    return [
        (text[: match.start(2)].count("\n") + 1, match[2])
        for match in _BLOCK.finditer(text)
        if match[1] == language
    ]


def links(path: Path) -> list[str]:
    """Targets of the page's links that stay within the project."""
    text = _BLOCK.sub("", path.read_text(encoding="utf-8"))
    return [link for link in _LINK.findall(text) if "://" not in link]
