"""Naming the known word that a misspelt one is closest to, for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word closest to `word`, or None if none is similar enough."""
    by_lowercase = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(word.lower(), by_lowercase, n=1, cutoff=0.5)
    return by_lowercase[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence that names the nearest known word and all known words, sorted."""
    words = sorted(known)
    close = nearest(word, words)
    hint = f"Did you mean {close!r}? " if close is not None else ""
    return f"{hint}Known: {', '.join(words) if words else 'none'}."
