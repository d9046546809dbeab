"""A library over HTTP for tests: in this process without a socket, or as a process of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

import kernels
from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState, KernelMode, Role
from esper.contracts.library import KernelRegistration, TokenRequest, Toolchain, ValidationReport
from esper.services.urza.kernel_library import Library
from esper.services.urza.urza_app import create_app
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.clock import SystemClock
from support import forked

API = "/api/v1"
FILE = kernels.kernel_file()
KERNEL_ID = hashlib.sha256(FILE).hexdigest()


@dataclass
class Served:
    """A library, its application, and a token for each role."""

    library: Library
    app: FastAPI
    client: httpx.AsyncClient
    secrets: Mapping[Role, str]

    async def call(
        self, method: str, path: str, *, role: Role | None = Role.ADMIN, **options: Any
    ) -> httpx.Response:
        """Send a request with the token of a role; without one for None."""
        headers = dict(options.pop("headers", {}))
        if role is not None:
            headers["Authorization"] = f"Bearer {self.secrets[role]}"
        return await self.client.request(method, path, headers=headers, **options)

    async def kernel(self, data: bytes = FILE) -> str:
        """Store and register a kernel file, and return its id."""
        kernel_id = hashlib.sha256(data).hexdigest()
        stored = await self.call("PUT", f"{API}/blobs/{kernel_id}", content=data)
        assert stored.status_code == 201, stored.text
        body = registration(kernel_id).model_dump(mode="json")
        registered = await self.call("POST", f"{API}/kernels/", json=body)
        assert registered.status_code == 201, registered.text
        return kernel_id


@contextlib.asynccontextmanager
async def served(folder: Path, **settings: Any) -> AsyncIterator[Served]:
    """A new library in `folder`, answered without a socket; defects raise in the test."""
    config = replace(UrzaConfig.default(folder), **{"auth": "token", **settings})
    library = await Library.open(config, SystemClock())
    try:
        app = create_app(library, config)
        secrets = {role: await issue(library, role) for role in Role}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield Served(library, app, client, secrets)
    finally:
        await library.close()


async def issue(library: Library, *roles: Role) -> str:
    """A token's secret."""
    request = TokenRequest(name="-".join(roles), roles=roles)
    return (await library.tokens.issue("local", request)).secret


def blueprint(blueprint_id: str = "bp-1", **changes: Any) -> Blueprint:
    """A blueprint whose figures are right."""
    graph = kernels.mlp_graph()
    fields: dict[str, Any] = {
        "blueprint_id": blueprint_id,
        "name": "mlp/small",
        "family": "mlp",
        "size": "small",
        "mode": KernelMode.REPLACING,
        "architecture": graph.to_dict(),
        "input_shape": (4,),
        "output_shape": (4,),
        "parameters": 4 * 3 + 3 + 3 * 4 + 4,
        "flops": 1,
        "state": BlueprintState.UNVALIDATED,
    }
    return Blueprint(**{**fields, **changes})


def registration(kernel_id: str = KERNEL_ID, **changes: Any) -> KernelRegistration:
    return KernelRegistration(kernel_id=kernel_id, **changes)


def report(**changes: Any) -> ValidationReport:
    toolchain = Toolchain(esper="1", torch="2", python="3", machine="x")
    return ValidationReport(**{"passed": True, "toolchain": toolchain, **changes})


@dataclass
class Process:
    """A library as a process of its own."""

    process: subprocess.Popen[str]
    url: str
    secrets: Mapping[Role, str]

    def terminate(self) -> None:
        """Ask it to stop, as a supervisor would."""
        self.process.send_signal(signal.SIGTERM)

    def finished(self, seconds: float = 30.0) -> tuple[int, str]:
        """Wait for its end; return its exit status and its log."""
        _, log = self.process.communicate(timeout=seconds)
        return self.process.returncode, log


_MAIN = """
import asyncio, json, sys
from pathlib import Path
from esper.contracts.enums import Role
from esper.services.urza.urza_config import UrzaConfig
from esper.services.urza.kernel_library import Library
from esper.services.urza.kernel_library import open_database
from esper.services.urza.kernel_library import SCHEMA
from esper.services.urza.urza_app import serve
from esper.utils.clock import SystemClock
from esper.utils.logging import setup_logging
from support.urza_app import issue

setup_logging("urza")
config = UrzaConfig(**json.loads(sys.argv[1]))

async def secrets():
    database = open_database(config)
    await SCHEMA.upgrade(database)
    await database.close()
    library = await Library.open(config, SystemClock())
    try:
        return {role.value: await issue(library, role) for role in Role}
    finally:
        await library.close()

tokens = asyncio.run(secrets())
serve(config, started=lambda url: print(json.dumps({"url": url, "secrets": tokens}), flush=True))
"""


@contextlib.contextmanager
def process(folder: Path, **settings: Any) -> Iterator[Process]:
    """A new library in `folder` (or wherever the settings say), served on a free port."""
    default = UrzaConfig.default(folder)
    places = {"database_url": default.database_url, "blobs": default.blobs}
    config = json.dumps({**places, "auth": "token", "port": 0, **settings})
    child = forked.Popen(
        [sys.executable, "-c", _MAIN, config],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line, child.communicate()[1]
        told = json.loads(line)
        secrets = {Role(name): secret for name, secret in told["secrets"].items()}
        yield Process(child, told["url"], secrets)
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
