"""Limits: what a build may take, and how it is stopped with everything that it started."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from multiprocessing import parent_process
from pathlib import Path
from threading import Thread
from typing import Final

import psutil

_ORPHANED: Final = 75


def confine(*, memory_bytes: int, niceness: int) -> None:
    """Restrain this process: a session of its own, low priority, no core dumps, little memory.

    More memory than `memory_bytes` on top of what it has now is refused by the system (on Linux;
    elsewhere only `taken_by` sees it).
    """
    with contextlib.suppress(PermissionError):  # it leads a session already
        os.setsid()
    now = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(now, niceness))
    # Where Linux groups processes by session, niceness counts within the group only, and the new
    # group has a niceness of its own. Elsewhere there is no such file.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(niceness), encoding="ascii")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = getattr(psutil.Process().memory_info(), "data", None)
    if used is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = used + memory_bytes
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def end_with_parent() -> None:
    """Let this process end as soon as the one that started it has: nobody wants its result."""
    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        # No clean-up: the result's folder is the parent's, and a build may be deep in C++.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(0) == os.getpid():
                os.killpg(0, signal.SIGKILL)
        os._exit(_ORPHANED)

    Thread(target=wait, name="end-with-parent", daemon=True).start()


def taken_by(pid: int) -> tuple[float, int]:
    """Return what a process and everything it started take: processor seconds, bytes of memory.

    Nothing if it is gone. What has ended counts for the one that waited for it.
    """
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0.0, 0
    seconds, memory = 0.0, 0
    for member in family:
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            times = member.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
            memory += member.memory_info().rss
    return seconds, memory


def kill_family(pid: int) -> None:
    """Kill a process that leads its own session, and everything in that session."""
    for stop in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            stop(pid, signal.SIGKILL)
