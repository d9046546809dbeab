"""Trace ids: everything that belongs to one adaptation of one run shares one."""

from __future__ import annotations

import hashlib


def trace_id_of(run_id: str, adaptation: int) -> str:
    """Return the W3C trace id of an adaptation: 32 hexadecimal digits, the same for the same words.

    From the health signals that led to it to its verdict, and the field report, an adaptation is
    one trace, whichever process takes part, and however often the run was resumed.

    Args:
        run_id: Which run.
        adaptation: How many adaptations of the run were over before this one.
    """
    return hashlib.sha256(f"{run_id}/{adaptation}".encode()).hexdigest()[:32]
