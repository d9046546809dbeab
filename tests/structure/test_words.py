"""Names say what a thing is; nothing of one machine or one person's desk gets in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from structure import source

# Documented by name in the platform's specification.
ALLOWED_CLASSES = {"ErrorRecoveryManager"}
VAGUE = re.compile(r"(Manager|Helper|Util|Utils)$|^(Enhanced|Real|New|Better)[A-Z]|V\d+$")

# In two halves each, so that this file does not hold them.
FORBIDDEN = [
    re.compile(pattern)
    for pattern in (
        r"(?<![\w.~-])/" + r"(?:work|root)/",
        r"/opt/" + r"(?:pypi|wheels)",
        r"file://" + r"/opt",
        r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b",
        r"\bsub-?" + r"agent",
        r"\bLL" + r"M-(?:written|generated)",
    )
]
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".cfg", ".ini", ".txt", ".sh", ".html", ".css", ""}


def test_no_class_has_a_name_that_says_nothing() -> None:
    found = [
        f"{source.shown(path)}: {node.name}"
        for path in source.modules()
        for node in source.classes(path)
        if VAGUE.search(node.name) and node.name not in ALLOWED_CLASSES
    ]
    assert not found, f"Use the field's own term: {found}"


@pytest.mark.parametrize("pattern", FORBIDDEN, ids=lambda pattern: pattern.pattern)
def test_no_file_holds_a_forbidden_word_or_path(pattern: re.Pattern[str]) -> None:
    found = [
        f"{source.shown(path)}:{number}: {line.strip()[:80]}"
        for path in source.project_files()
        if path.suffix in TEXT and path.name != "LICENSE"
        for number, line in enumerate(_lines(path), start=1)
        if pattern.search(line)
    ]
    assert not found, found


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
