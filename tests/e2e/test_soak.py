"""`make soak`, for seconds: what must hold in any length of time does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support import forked

ROOT = Path(__file__).resolve().parents[2]
AT_ANY_LENGTH = (
    "bus: pending",
    "bus: waiting",
    "bus: dead letters",
    "disk: bus, library, logs",
    "runs that failed",
    "services started again",
)
"""The others compare an early time with a late one, which takes longer than a test may."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_platform_that_is_used_for_a_while_holds_its_bars() -> None:
    done = forked.run(
        [sys.executable, "-m", "benchmarks.soak", "--minutes", "0.15", "--every", "2", "--dry"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    verdicts = {row[0]: row[-1] for row in rows if len(row) > 1}
    assert {name: verdicts.get(name) for name in AT_ANY_LENGTH} == dict.fromkeys(
        AT_ANY_LENGTH, "met"
    ), done.stdout + done.stderr
