"""Histories of concurrent clients are linearizable: aliases and statuses, over HTTP and without."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable
from math import inf
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from esper.contracts.enums import KernelStatus, Role
from esper.contracts.errors import (
    LibraryNotFoundError,
    LibraryUnavailableError,
    RevisionConflictError,
)
from esper.contracts.lifecycle import KernelEvent
from esper.services.urza.kernel_library import Library
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.clock import SystemClock
from support import urza_app
from support.fault_length import LONG
from support.linearizability import UNKNOWN, Operation, alias_step, is_linearizable, status_step
from support.servers.postgres import postgres
from support.stored import id_of, kernel_file, kernel_of, register
from support.urza_databases import upgraded

pytestmark = pytest.mark.asyncio

NAMES = ["first@staging", "second@staging"]
KERNELS = [kernel_file(seed) for seed in range(3)]
CLIENTS, TURNS = (8, 60) if LONG else (5, 15)


class Client(Protocol):
    """What the clients of a history can do; the results are those of `linearizability`."""

    async def get(self, name: str) -> Any: ...
    async def put(self, name: str, kernel_id: str, revision: int | None) -> Any: ...
    async def delete(self, name: str, revision: int) -> Any: ...
    async def status(self, kernel_id: str) -> Any: ...
    async def move(self, kernel_id: str, event: KernelEvent, revision: int) -> Any: ...


class DirectClient:
    """Uses a library without a server."""

    def __init__(self, library: Library) -> None:
        self.library = library

    async def get(self, name: str) -> Any:
        try:
            alias = await self.library.aliases.get(name)
        except LibraryNotFoundError:
            return None
        return alias.kernel_id, alias.revision

    async def put(self, name: str, kernel_id: str, revision: int | None) -> Any:
        return (await self.library.aliases.put("client", name, kernel_id, revision)).revision

    async def delete(self, name: str, revision: int) -> Any:
        try:
            await self.library.aliases.delete("client", name, revision)
        except LibraryNotFoundError:
            return "missing"
        return revision + 1

    async def status(self, kernel_id: str) -> Any:
        record = await kernel_of(self.library, kernel_id)
        return record.status, record.revision

    async def move(self, kernel_id: str, event: KernelEvent, revision: int) -> Any:
        record = await self.library.kernels.move("client", kernel_id, event, revision)
        return record.status, record.revision


class HttpClient:
    """Uses a library over HTTP."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = await self.http.request(method, f"{urza_app.API}{path}", **options)
        except httpx.TransportError as problem:
            raise LibraryUnavailableError(str(problem)) from problem
        if answer.status_code in {409, 412}:
            raise RevisionConflictError(answer.text)
        if answer.status_code >= 500:
            assert answer.status_code == 503, answer.text
            raise LibraryUnavailableError(answer.text)
        return answer

    async def get(self, name: str) -> Any:
        answer = await self._ask("GET", f"/aliases/{name}")
        if answer.status_code == 404:
            return None
        alias = answer.raise_for_status().json()
        return alias["kernel_id"], alias["revision"]

    async def put(self, name: str, kernel_id: str, revision: int | None) -> Any:
        condition = {"If-None-Match": "*"} if revision is None else {"If-Match": f'"{revision}"'}
        body = {"kernel_id": kernel_id}
        answer = await self._ask("PUT", f"/aliases/{name}", json=body, headers=condition)
        return answer.raise_for_status().json()["revision"]

    async def delete(self, name: str, revision: int) -> Any:
        condition = {"If-Match": f'"{revision}"'}
        answer = await self._ask("DELETE", f"/aliases/{name}", headers=condition)
        if answer.status_code == 404:
            return "missing"
        answer.raise_for_status()
        return revision + 1

    async def status(self, kernel_id: str) -> Any:
        record = (await self._ask("GET", f"/kernels/{kernel_id}")).raise_for_status().json()
        return KernelStatus(record["status"]), record["revision"]

    async def move(self, kernel_id: str, event: KernelEvent, revision: int) -> Any:
        answer = await self._ask(
            "POST",
            f"/kernels/{kernel_id}/transitions",
            json={"event": event.value, "reason": ""},
            headers={"If-Match": f'"{revision}"'},
        )
        record = answer.raise_for_status().json()
        return KernelStatus(record["status"]), record["revision"]


class Recorder:
    """Histories by object."""

    def __init__(self) -> None:
        self.histories: dict[str, list[Operation]] = {}

    async def note(
        self, subject: str, name: str, arguments: tuple[Any, ...], call: Awaitable[Any]
    ) -> Any:
        """Await a call and write down what it did; return its result."""
        called, returned = time.monotonic(), inf
        try:
            result = await call
            returned = time.monotonic()
        except RevisionConflictError:
            result, returned = "conflict", time.monotonic()
        except LibraryUnavailableError:
            result = UNKNOWN
            await asyncio.sleep(0.2)
        entry = Operation(name, arguments, result, called, returned)
        self.histories.setdefault(subject, []).append(entry)
        return result


async def _use_aliases(client: Client, recorder: Recorder, chance: random.Random) -> None:
    known: dict[str, int | None] = dict.fromkeys(NAMES)
    for _ in range(TURNS):
        name = chance.choice(NAMES)
        kind = chance.choice(["get", "get", "put", "put", "put", "delete"])
        revision = known[name]
        result: Any = UNKNOWN
        if kind == "put":
            kernel_id = id_of(chance.choice(KERNELS))
            call = client.put(name, kernel_id, revision)
            result = await recorder.note(name, "put", (kernel_id, revision), call)
            known[name] = result if isinstance(result, int) else revision
        elif kind == "delete" and revision is not None:
            result = await recorder.note(name, "delete", (revision,), client.delete(name, revision))
            known[name] = None if isinstance(result, int) else revision
        if kind == "get" or result in {"conflict", "missing", UNKNOWN}:
            result = await recorder.note(name, "get", (), client.get(name))
            known[name] = result[1] if isinstance(result, tuple) else None


async def _use_statuses(client: Client, recorder: Recorder, chance: random.Random) -> None:
    after = {
        KernelEvent.RETIRE: KernelStatus.RETIRED,
        KernelEvent.REINSTATE: KernelStatus.VALIDATED,
    }
    for _ in range(TURNS):
        kernel_id = id_of(KERNELS[0])
        seen = await recorder.note(kernel_id, "get", (), client.status(kernel_id))
        if seen is UNKNOWN:
            continue
        status, revision = seen
        event = KernelEvent.RETIRE if status is KernelStatus.VALIDATED else KernelEvent.REINSTATE
        if chance.random() < 0.7:
            call = client.move(kernel_id, event, revision)
            await recorder.note(kernel_id, "move", (after[event], revision), call)


async def _prepare(library: Library) -> None:
    for data in KERNELS:
        record = await register(library, data)
        kernel_id = str(record.metadata.kernel_id)
        await library.kernels.move("client", kernel_id, KernelEvent.VALIDATE, record.revision)


def _check(recorder: Recorder) -> None:
    assert set(recorder.histories) == {*NAMES, id_of(KERNELS[0])}
    for subject, history in recorder.histories.items():
        assert len(history) > TURNS
        if subject in NAMES:
            assert is_linearizable(history, (None, 0), alias_step), history
        else:
            initial = (KernelStatus.VALIDATED, 2)
            assert is_linearizable(history, initial, status_step), history


async def _live(clients: list[Client], recorder: Recorder, seed: int) -> None:
    await asyncio.gather(
        *(
            use(client, recorder, random.Random(f"{seed}{number}{use.__name__}"))
            for number, client in enumerate(clients)
            for use in (_use_aliases, _use_statuses)
        )
    )


@pytest.mark.parametrize("seed", range(5 if LONG else 1))
async def test_two_libraries_on_one_database_are_linearizable(
    config: UrzaConfig, seed: int
) -> None:
    libraries = [await Library.open(config, SystemClock()) for _ in range(2)]
    await _prepare(libraries[0])
    recorder = Recorder()
    clients: list[Client] = [DirectClient(libraries[n % 2]) for n in range(CLIENTS)]
    await _live(clients, recorder, seed)
    for library in libraries:
        await library.close()
    _check(recorder)


@pytest.mark.parametrize("seed", range(5 if LONG else 1))
async def test_a_server_is_linearizable(config: UrzaConfig, tmp_path: Path, seed: int) -> None:
    library = await Library.open(config, SystemClock())
    await _prepare(library)
    await library.close()
    settings = {"database_url": config.database_url, "blobs": config.blobs, "rate_per_second": 0}
    recorder = Recorder()
    with urza_app.process(tmp_path, **settings) as server:
        headers = {"Authorization": f"Bearer {server.secrets[Role.ADMIN]}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=300) as http:
            clients: list[Client] = [HttpClient(http) for _ in range(CLIENTS)]
            await _live(clients, recorder, seed)
    _check(recorder)


async def test_histories_stay_linearizable_while_the_database_restarts(
    tmp_path: Path,
) -> None:
    with postgres() as server:
        url = server.create_database()
        await upgraded(url)
        config = UrzaConfig(database_url=url, blobs=f"file://{tmp_path / 'blobs'}")
        library = await Library.open(config, SystemClock())
        await _prepare(library)
        recorder = Recorder()
        clients: list[Client] = [DirectClient(library) for _ in range(CLIENTS)]
        using = asyncio.ensure_future(_live(clients, recorder, 0))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        await using
        await library.close()
    operations = [entry for history in recorder.histories.values() for entry in history]
    assert any(entry.result is UNKNOWN for entry in operations)
    _check(recorder)
