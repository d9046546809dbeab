"""Server: a real server as a child process, with a folder of its own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

HOST = "127.0.0.1"
START_SECONDS = 300.0

# PostgreSQL refuses to run as root, and nothing here needs to.
UNPRIVILEGED = "nobody" if os.geteuid() == 0 else None
UNPRIVILEGED_GROUP = "nogroup" if os.geteuid() == 0 else None


def free_port(*, far_from_top: int = 0) -> int:
    """Return a port that nobody listens on now; weed also takes the port 10,000 above."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if not far_from_top:
            return port
        if port + far_from_top > 65535:
            port -= far_from_top
        if port > 1024 and not listening(port) and not listening(port + far_from_top):
            return port


def listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


class Server:
    """A child process with a folder of its own; the folder outlives a kill, not `close`."""

    death_signal = signal.SIGTERM

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"esper-{name}-"))
        self.process: subprocess.Popen[bytes] | None = None
        self.log = self.folder / "server.log"

    def command(self) -> list[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Start, and return when it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                user=UNPRIVILEGED,
                group=UNPRIVILEGED_GROUP,
                extra_groups=[] if UNPRIVILEGED else None,
                # One C function is called there, and it takes no lock.
                preexec_fn=_dying_with_parent(self.death_signal),  # noqa: PLW1509
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                tail = self.log.read_text(errors="replace")[-3000:]
                raise RuntimeError(f"{type(self).__name__} did not start:\n{tail}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Stop it the hard way, as kill -9 does; its data stays."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it the way its own tools do."""
        self._end(self.death_signal)

    def pause(self) -> None:
        """Let it answer nothing, with its connections open."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it at once (a graceful stop of the object store takes 10 s) and remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            # A hard kill takes the whole group: a server's children must not outlive it.
            os.killpg(process.pid, how) if how is signal.SIGKILL else process.send_signal(how)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)


def _dying_with_parent(how: signal.Signals) -> Callable[[], None] | None:
    """Return what makes a child end when its parent does, on the one system that can."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    set_death_signal = 1
    return lambda: libc.prctl(set_death_signal, int(how))


def give_away(*paths: Path) -> None:
    if UNPRIVILEGED is not None:
        for path in paths:
            shutil.chown(path, UNPRIVILEGED, UNPRIVILEGED_GROUP)


S = TypeVar("S", bound=Server)


@contextlib.contextmanager
def running(server: S) -> Iterator[S]:
    """Run a server within a `with` block; nothing of it is left afterwards."""
    try:
        server.start()
        yield server
    finally:
        server.close()
