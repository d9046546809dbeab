"""Uploads and collections of the same blobs at once: what is known as stored can be read."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from esper.contracts.errors import LibraryError
from esper.contracts.library import KernelRegistration
from esper.services.urza.kernel_library import Library
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.clock import SystemClock
from support.fault_checks import broken, leftovers
from support.fault_length import LONG
from support.stored import ACTOR, id_of, kernel_file, upload

TURNS = 200 if LONG else 25
FILES = [kernel_file(seed) for seed in range(4)]


async def _uploads(library: Library, chance: random.Random) -> int:
    registered = 0
    for _ in range(TURNS):
        data = chance.choice(FILES)
        # Collected between upload and registration is a refusal, and nothing worse.
        with contextlib.suppress(LibraryError):
            await upload(library, data)
            if chance.random() < 0.2:
                registration = KernelRegistration(kernel_id=id_of(data))
                await library.kernels.register(ACTOR, registration)
                registered += 1
    return registered


async def _collects(library: Library, done: asyncio.Event) -> int:
    collected = 0
    while not done.is_set():
        # A grace that lies ahead: even what was just touched is taken.
        collected += (await library.garbage.collect(ACTOR, -60.0)).blobs
        await asyncio.sleep(0)
    return collected


@pytest.mark.asyncio
async def test_a_collection_beside_uploads_removes_only_what_it_condemned(
    config: UrzaConfig,
) -> None:
    libraries = [await Library.open(config, SystemClock()) for _ in range(2)]
    done = asyncio.Event()
    collecting = [asyncio.ensure_future(_collects(library, done)) for library in libraries]
    registered = await asyncio.gather(
        *(_uploads(libraries[n % 2], random.Random(n)) for n in range(4))
    )
    done.set()
    collected = await asyncio.gather(*collecting)
    assert sum(registered) > 0
    assert sum(collected) > 0
    assert await broken(libraries[0]) == []
    await libraries[0].garbage.collect(ACTOR, -60.0)
    assert await leftovers(libraries[0]) == set()
    assert await broken(libraries[0]) == []
    for library in libraries:
        await library.close()
