"""Processes that live with a library and may be killed; forked from one that has imported it all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from esper.services.urza.kernel_library import Library
from esper.services.urza.urza_config import S3Access, UrzaConfig
from esper.utils import failpoint
from esper.utils.clock import SystemClock
from support import fault_lives, forked

_FOLDERS = (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))


class Launcher:
    """Starts processes, one at a time, in milliseconds."""

    def __init__(self) -> None:
        self._process = forked.Popen(
            [sys.executable, "-m", "support.fault_process"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, _FOLDERS))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.pid = 0

    def start(
        self, life: str, config: UrzaConfig, told: Path, failpoints: str = "", **options: Any
    ) -> int:
        """Fork a process that leads `life`; return its id."""
        order = {
            "life": life,
            "config": asdict(config),
            "told": str(told),
            "failpoints": failpoints,
            "options": options,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self.pid = int(self._answer())
        return self.pid

    def wait(self) -> int:
        """Wait for its end; return its exit status, negative for a signal."""
        status = int(self._answer())
        self.pid = 0
        return status

    def run(self, *arguments: Any, **options: Any) -> int:
        """Start a process and wait for its end."""
        self.start(*arguments, **options)
        return self.wait()

    def close(self) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, 9)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(300)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the launcher died"
        return line


@contextlib.contextmanager
def launcher() -> Iterator[Launcher]:
    started = Launcher()
    try:
        yield started
    finally:
        started.close()


def config_of(fields: dict[str, Any]) -> UrzaConfig:
    """Return a configuration from its fields."""
    s3 = fields.pop("s3")
    return UrzaConfig(**fields, s3=S3Access(**s3) if s3 else None)


async def _lead(order: dict[str, Any], file: IO[bytes]) -> None:
    def say(what: str, name: str, **fields: Any) -> None:
        # One write: the line is in the file before anything else happens, or not at all.
        file.write(json.dumps({"what": what, "name": name, **fields}).encode() + b"\n")

    library = await Library.open(config_of(order["config"]), SystemClock())
    await getattr(fault_lives, order["life"])(library, say, **order["options"])
    await library.close()


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            failpoint.arm({failpoint.VARIABLE: order["failpoints"]})
            with Path(order["told"]).open("ab", buffering=0) as file:
                asyncio.run(_lead(order, file))
            os._exit(0)
        _answer(pid)
        _answer(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    main()
