"""Proof: what became of a blueprint that was built."""

from __future__ import annotations

from dataclasses import dataclass

from esper.contracts.library import ValidationReport


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A report, and the kernel if it passed."""

    report: ValidationReport
    data: bytes | None
    """The kernel file; None unless every check passed."""
