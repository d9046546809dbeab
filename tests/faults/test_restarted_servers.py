"""PostgreSQL and S3 are killed and started again under load: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from esper.contracts.errors import (
    LibraryNotFoundError,
    LibraryUnavailableError,
    RevisionConflictError,
)
from esper.services.urza.kernel_library import Library
from esper.services.urza.urza_config import S3Access, UrzaConfig
from esper.utils.clock import SystemClock
from support.fault_checks import broken, lost
from support.fault_length import LONG
from support.servers.postgres import postgres
from support.servers.s3 import s3
from support.servers.server import Server
from support.stored import ACTOR, blueprint, id_of, kernel_file, register, upload
from support.urza_databases import upgraded

pytestmark = pytest.mark.asyncio

CLIENTS = 6
RESTARTS = 4 if LONG else 2


class Load:
    """Clients that go on whatever happens, and note what was acknowledged."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.told: list[dict[str, Any]] = []
        self.refusals = 0
        self.stopped = False

    def say(self, what: str, name: str, **fields: Any) -> None:
        self.told.append({"what": what, "name": name, **fields})

    async def insist(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Repeat a call that can be repeated until the library serves again."""
        while True:
            try:
                return await call()
            except LibraryUnavailableError:
                self.refusals += 1
                await asyncio.sleep(0.05)

    async def client(self, client: int) -> None:
        number = 0
        while not self.stopped:
            await self.turn(client, number)
            number += 1

    async def turn(self, client: int, number: int) -> None:
        name = f"bp-{client}-{number}"
        await self.insist(lambda: self.library.blueprints.submit(ACTOR, blueprint(name)))
        self.say("blueprint", name)
        data = b"%d of client %d" % (number, client) * 1000
        await self.insist(lambda: upload(self.library, data))
        self.say("blob", id_of(data))
        assert await self.insist(lambda: self.library.kernels._blobs.whole(id_of(data))) == data
        await self._point(f"client-{client}@staging", id_of(kernel_file()))

    async def _point(self, name: str, kernel_id: str) -> None:
        while True:
            try:
                revision = (await self.insist(lambda: self.library.aliases.get(name))).revision
            except LibraryNotFoundError:
                revision = None
            try:
                alias = await self.library.aliases.put(ACTOR, name, kernel_id, revision)
            except (LibraryUnavailableError, RevisionConflictError):
                # It may have happened, or not: read again.
                continue
            self.say("alias", name, kernel=kernel_id, revision=alias.revision)
            return


async def _under_load(config: UrzaConfig, server: Server) -> None:
    library = await Library.open(config, SystemClock())
    await register(library, kernel_file())
    load = Load(library)
    clients = [asyncio.ensure_future(load.client(number)) for number in range(CLIENTS)]
    for restart in range(RESTARTS):
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.stop if restart % 2 else server.kill)
        await asyncio.to_thread(server.start)
    before = len(load.told)
    await asyncio.sleep(1.0)
    load.stopped = True
    await asyncio.gather(*clients)
    assert load.refusals > 0
    assert len(load.told) > before
    assert await lost(library, load.told) == []
    assert await broken(library) == []
    await library.close()


async def test_a_restarted_database_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    with postgres() as server:
        url = server.create_database()
        await upgraded(url)
        await _under_load(UrzaConfig(database_url=url, blobs=f"file://{tmp_path}"), server)


@pytest.mark.skipif(not LONG, reason="the object store takes long to start")
async def test_a_restarted_object_store_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    with s3() as server:
        place = server.place()
        access = S3Access(
            endpoint=place.endpoint, access_key=place.access_key, secret_key=place.secret_key
        )
        url = f"sqlite:///{tmp_path / 'urza.db'}"
        await _under_load(UrzaConfig(database_url=url, blobs=place.url, s3=access), server)
