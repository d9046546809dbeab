"""A library behind a real server process, as `esper urza serve` starts it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from esper.contracts.enums import Role
from esper.contracts.library import TokenRequest
from esper.services.urza.client.urza_client import UrzaClient
from esper.services.urza.kernel_library import Library
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.clock import SystemClock
from support import forked

ESPER = [sys.executable, "-m", "esper.cli"]
STOP_SECONDS = 300
As = Callable[[Role | None], UrzaClient]
"""Makes a client with a role's token; None is somebody without one."""


@dataclass(frozen=True)
class UrzaServer:
    """Where a library answers, and how to get in."""

    url: str
    folder: Path
    process: subprocess.Popen[str]
    tokens: Mapping[Role, str]
    """A token for each role."""

    def environment(self, role: Role) -> dict[str, str]:
        """The environment of a command that works with this library."""
        return {
            **without_library(),
            "ESPER_URZA_URL": self.url,
            "ESPER_URZA_TOKEN": self.tokens[role],
        }


def without_library() -> dict[str, str]:
    """This process's environment without any library's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ESPER_URZA_")}


@contextmanager
def urza_server(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[UrzaServer]:
    """Serve a new embedded library in `folder` on a free port; ends it as a supervisor would.

    Args:
        folder: Where it lies.
        settings: Further `ESPER_URZA_` variables.
    """
    environment = {**without_library(), **(settings or {})}
    command = [*ESPER, "urza", "serve", "--folder", str(folder), "--port", "0"]
    log = folder.with_name(f"{folder.name}.log")
    with (
        log.open("w") as errors,
        forked.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url.startswith("http://"), log.read_text()
            yield UrzaServer(url, folder, process, issue_all(folder, settings or {}))
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def issue_all(folder: Path, settings: Mapping[str, str]) -> dict[Role, str]:
    """A token for each role, made directly in the database, as `esper urza token issue` does."""

    async def issued() -> dict[Role, str]:
        library = await Library.open(UrzaConfig.from_environment(settings, folder), SystemClock())
        try:
            return {
                role: (
                    await library.tokens.issue("test", TokenRequest(name=role.value, roles=(role,)))
                ).secret
                for role in Role
            }
        finally:
            await library.close()

    return asyncio.run(issued())
