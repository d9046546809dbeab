"""JSON from untrusted hands: bounded in length and depth, no duplicate keys, no NaN."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_BRACKET_OR_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""A string hides the brackets in it, also one that never ends."""


class StrictJsonError(ValueError):
    """The text is refused; the message says why."""


def loads(text: bytes, *, max_bytes: int, max_depth: int) -> Any:
    """Parse UTF-8 JSON, refusing what a lenient parser would let pass.

    Args:
        text: The document.
        max_bytes: Greatest length.
        max_depth: Greatest nesting of objects and lists; checked before parsing, so a bomb of
            brackets never reaches the parser.

    Raises:
        StrictJsonError: Too long, too deep, not UTF-8, not JSON, a key given twice in one object
            at any level, or NaN or an infinity.
    """
    if len(text) > max_bytes:
        raise StrictJsonError(f"is {len(text)} bytes long, more than the limit of {max_bytes}")
    depth = _depth(text)
    if depth > max_depth:
        raise StrictJsonError(f"is nested {depth} deep, more than the limit of {max_depth}")
    try:
        return json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except StrictJsonError:
        raise
    except ValueError as problem:  # UnicodeDecodeError and JSONDecodeError among them
        raise StrictJsonError(f"is not valid UTF-8 JSON: {problem!s:.200}") from None


def _depth(text: bytes) -> int:
    """Return the deepest nesting of brackets outside strings."""
    depth = deepest = 0
    for found in _BRACKET_OR_STRING.finditer(text):
        if found[0] in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif found[0] in b"}]":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise StrictJsonError(f"gives the key {key!r:.80} twice in one object")
        found[key] = value
    return found


def _no_constant(word: str) -> float:
    raise StrictJsonError(f"holds {word}, which is not a finite number")
