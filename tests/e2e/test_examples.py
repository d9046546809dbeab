"""Every example is a program that runs, in a process of its own, with warnings as errors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support import forked

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
SAYS = {
    "custom_blueprint": (["200"], "raced: control/host"),
    "custom_host": ([], "exported"),
    "manual_kernel": ([], "bit-identical to the original again"),
    "own_loop": (["200"], "test accuracy"),
    "regression": (["200"], "test R squared"),
    "resume": (["100"], "the same weights at step 100"),
    "sequence": (["40"], "bits per character"),
}
"""For each example: arguments that make it short, and something that it must print."""


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SAYS)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    arguments, expected = SAYS[name]
    result = forked.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr
    assert expected in result.stdout
