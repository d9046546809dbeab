from __future__ import annotations

import os
import subprocess
import sys

import pytest

from esper.services.tezzeret.build_limits import memory_of

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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux refuses memory by itself")
def test_a_confined_process_stands_back_as_a_group_and_gets_no_more_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONFINED], capture_output=True, text=True, check=True
    )
    # The group's niceness is there only where the system groups processes by session.
    assert done.stdout.split() == ["7", "True", "0", "7", "refused"]


def test_the_memory_of_a_process_that_is_gone_is_nothing() -> None:
    assert memory_of(os.getpid()) > 2**20
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert memory_of(process.pid) == 0
