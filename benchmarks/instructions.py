"""Counting instructions instead of time: exact where a clock sees only noise.

A child process runs under Valgrind's callgrind, which counts between two marks only. The count
has no part of what other programs do; it does not say how long an instruction takes, and Valgrind
offers no AVX-512, so the step that the overhead is a share of is counted in AVX2 instructions.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

_TOOLS = ("valgrind", "callgrind_control")
_PREFIX = "out"
_TOTAL = re.compile(r"^totals: (\d+)$", re.MULTILINE)


def available() -> bool:
    """Whether Valgrind is installed."""
    return all(shutil.which(tool) for tool in _TOOLS)


def count(expression: str, blocks: int) -> list[int]:
    """Instructions of each of ``blocks`` blocks of work.

    Args:
        expression: Python, ``module:function``; the function calls :func:`measured` for each
            block, in a process of its own.
        blocks: how many.
    """
    module, _, function = expression.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--instr-atstart=no",
            f"--callgrind-out-file={folder}/{_PREFIX}",
            sys.executable,
            "-c",
            f"from {module} import {function}; {function}()",
        ]
        # One thread and no random hashes: the same program counts the same.
        environment = os.environ | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, env=environment, timeout=1800)  # noqa: S603  # our own command
        return [_total(Path(folder) / f"{_PREFIX}.{i + 1}") for i in range(blocks)]


def measured(block: Callable[[], object]) -> None:
    """Count the instructions of one block; for use in the child process."""
    pid = str(os.getpid())
    _control("--instr=on", pid)
    block()
    _control("--dump", pid)
    _control("--instr=off", pid)


def _control(option: str, pid: str) -> None:
    command = ["callgrind_control", option, pid]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # our own command


def _total(path: Path) -> int:
    found = _TOTAL.search(path.read_text(encoding="utf-8", errors="replace"))
    assert found is not None, f"callgrind left no total in {path}"
    return int(found[1])
