"""Nissa as a process of its own, as `esper nissa serve` starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support import forked

STOP_SECONDS = 300


@dataclass(frozen=True)
class NissaServer:
    """Where it answers."""

    url: str
    store: str
    """URL of its run store."""
    log: Path
    """What it wrote to standard error."""
    process: subprocess.Popen[str]

    def stop(self) -> int:
        """Ask it to stop, as a supervisor would; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def nissa_server(
    folder: Path, *arguments: str, settings: Mapping[str, str] | None = None
) -> Iterator[NissaServer]:
    """Serve a new run store in `folder` on a free port."""
    folder.mkdir(exist_ok=True)
    store, log = f"sqlite:///{folder / 'runs.db'}", folder / "nissa.log"
    command = [sys.executable, "-m", "esper.cli", "nissa", "serve", "--port", "0"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("ESPER_NISSA")}
    with (
        log.open("w") as errors,
        forked.Popen(
            [*command, "--store", store, *arguments],
            env={**own, "ESPER_HOME": str(folder), **(settings or {})},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://"), log.read_text()
            yield NissaServer(url, store, log, process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
            # Shown where a test fails.
            sys.stderr.write(log.read_text())
