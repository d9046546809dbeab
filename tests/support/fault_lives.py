"""The lives that processes lead until they are killed; `fault_process.Launcher` starts them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib

from esper.contracts.errors import LeaseLostError, LibraryUnavailableError
from esper.services.urza.kernel_library import Library
from support.fault_scenario import Say, build, live
from support.stored import chunks


async def everything(library: Library, say: Say, rounds: int = 2) -> None:
    """Do everything once or twice."""
    await live(library, say, rounds)


async def uploads(library: Library, say: Say, size: int) -> None:
    """Upload blobs for ever."""
    number = 0
    while True:
        data = hashlib.sha256(b"%d" % number).digest() * (size // 32)
        digest = hashlib.sha256(data).hexdigest()
        await library.blobs.put("trainer", digest, chunks(data, 65536), len(data))
        say("blob", digest)
        number += 1


async def worker(library: Library, say: Say, name: str, seconds: float, seed: int) -> None:
    """Build one blueprint, as soon as there is one."""
    lease = None
    while lease is None:
        # A rival that was halted in the middle of a change holds the library up for a while.
        with contextlib.suppress(LibraryUnavailableError):
            lease = await library.leases.grant("forge", name, seconds)
        await asyncio.sleep(0.02)
    try:
        await build(library, lease, say, seed)
    except (LeaseLostError, LibraryUnavailableError):
        say("lost", lease.blueprint.blueprint_id, token=lease.token)
