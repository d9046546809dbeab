from __future__ import annotations

import os
import subprocess
import sys

import pytest

from esper.services.tezzeret.build_limits import taken_by

CONFINED = """
import os, resource, sys
from pathlib import Path
from esper.services.tezzeret.build_limits import confine
confine(memory_bytes=2**30, niceness=7)
group = Path("/proc/self/autogroup")
print(os.getpriority(os.PRIO_PROCESS, 0), os.getsid(0) == os.getpid())
print(resource.getrlimit(resource.RLIMIT_CORE)[0])
print(group.read_text().split()[-1] if group.exists() else 7)
try:
    bytearray(2**32)
except MemoryError:
    print("refused")
"""

BUSY = """
import time
while time.process_time() < 0.6:
    pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux refuses memory by itself")
def test_a_confined_process_stands_back_as_a_group_and_gets_no_more_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONFINED], capture_output=True, text=True, check=True
    )
    # The group's niceness is there only where the system groups processes by session.
    assert done.stdout.split() == ["7", "True", "0", "7", "refused"]


def test_what_a_process_takes_is_counted_with_what_it_started_and_what_has_ended() -> None:
    before, memory = taken_by(os.getpid())
    assert memory > 2**20
    subprocess.run([sys.executable, "-c", BUSY], check=True)
    assert taken_by(os.getpid())[0] >= before + 0.5


def test_a_process_that_is_gone_takes_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert taken_by(process.pid) == (0.0, 0)
