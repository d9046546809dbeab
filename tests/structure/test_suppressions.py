"""A suppressed rule has its reason beside it."""

from __future__ import annotations

import re

from structure import source

# The reason stands after the code, or in a comment on the line above.
SUPPRESSION = re.compile(
    r"#\s*(?:noqa(?::\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*)?"
    r"|type:\s*ignore(?:\[[\w,\s-]+\])?"
    r"|pragma:\s*no cover)(?P<rest>.*)$"
)


def test_every_suppression_gives_a_reason() -> None:
    found = []
    for path in source.modules():
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            match = SUPPRESSION.search(line)
            if match is None:
                continue
            reason = SUPPRESSION.sub("", match["rest"]).strip(" #-:")
            above = lines[number - 1].strip() if number else ""
            if len(reason) < 8 and not above.startswith("#"):
                found.append(f"{source.shown(path)}:{number + 1}: {line.strip()}")
    assert not found, f"Say why, on the line or just above it: {found}"


def test_no_rule_is_suppressed_for_a_whole_file() -> None:
    whole = re.compile(r"#\s*(?:ruff:\s*noqa|mypy:\s*ignore-errors|type:\s*ignore\s*$)")
    found = [
        f"{source.shown(path)}:{number}"
        for path in source.modules()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if whole.search(line)
    ]
    assert not found, found
