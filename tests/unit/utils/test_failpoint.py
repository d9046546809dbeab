"""Failpoints kill where the environment says so, and nowhere else."""

from __future__ import annotations

import signal
import subprocess
import sys

from esper.utils.failpoint import declare, declared, failpoint

SCRIPT = """
from esper.utils.failpoint import failpoint
for number in range(1, 4):
    failpoint("test.here")
    print(number, flush=True)
    failpoint("test.elsewhere")
"""


def _run(setting: str | None) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={} if setting is None else {"ESPER_FAILPOINTS": setting},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_failpoint_does_nothing_unless_it_is_armed() -> None:
    assert _run(None) == (0, "1\n2\n3\n")
    assert _run("test.other") == (0, "1\n2\n3\n")


def test_an_armed_failpoint_kills_at_its_first_pass() -> None:
    assert _run("test.here") == (-signal.SIGKILL, "")


def test_an_armed_failpoint_can_wait_for_a_later_pass() -> None:
    assert _run("test.other,test.elsewhere=2") == (-signal.SIGKILL, "1\n2\n")


def test_declared_failpoints_are_listed() -> None:
    assert declare("test.declared") in declared()
    failpoint("test.declared")
