"""Garbage: blobs that no kernel refers to, and what killed uploads left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from obstore.exceptions import BaseError
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from esper.contracts.errors import LibraryUnavailableError
from esper.contracts.library import GarbageReport
from esper.services.urza.blobs import Place, enter, key_of, place_of, read_key
from esper.services.urza.change import Store
from esper.services.urza.idempotency import Idempotency
from esper.services.urza.library_tables import BLOBS, KERNELS
from esper.utils.failpoint import declare, failpoint
from esper.utils.object_store import ObjectStore, StoredObject

_BATCH: Final = 200
_BEFORE_DELETE: Final = declare("urza.garbage.before-delete")
_AFTER_DELETE: Final = declare("urza.garbage.after-delete")


class Garbage:
    """Removes what nobody needs: first it is condemned in the database, then deleted.

    Args:
        store: Knows what is needed.
        objects: Holds the bytes.
        idempotency: Has answers that expire.
    """

    def __init__(self, store: Store, objects: ObjectStore, idempotency: Idempotency) -> None:
        self._store = store
        self._objects = objects
        self._idempotency = idempotency

    async def collect(
        self, actor: str, grace_seconds: float, dry_run: bool = False
    ) -> GarbageReport:
        """Remove blobs that no kernel refers to and that nobody touched for `grace_seconds`.

        Raises:
            LibraryUnavailableError: Database or object store cannot serve now.
        """
        before = self._store.now - grace_seconds
        try:
            blobs, size = await self._unreferenced(actor, before, dry_run)
            more, rest = await self._unknown(actor, before, dry_run)
            if not dry_run:
                await asyncio.to_thread(self._objects.remove_unfinished, before)
                await self._idempotency.forget_expired(actor)
        except (BaseError, OSError) as problem:
            raise LibraryUnavailableError(
                f"the library's object store cannot serve now ({type(problem).__name__}); collect "
                "again later, nothing that is needed was removed"
            ) from problem
        return GarbageReport(blobs=blobs + more, bytes=size + rest)

    async def _unreferenced(self, actor: str, before: float, dry_run: bool) -> tuple[int, int]:
        """Condemn and delete known blobs; return how many, and their size."""
        if dry_run:
            async with self._store.reading() as connection:
                sizes = [row.size_bytes for row in await connection.execute(_condemned(before))]
            return len(sizes), sum(sizes)
        count = size = 0
        while True:
            async with self._store.begin(actor, "garbage") as change:
                rows = (await change.connection.execute(_condemned(before).limit(_BATCH))).all()
                for row in rows:
                    gone = Place(row.generation, present=False, size=row.size_bytes)
                    await enter(change, row.digest, gone)
                    await change.record("blob.collect", row.digest, bytes=row.size_bytes)
            # Only now: a blob that lost its row but not its bytes is harmless, the other way
            # round it would be lost.
            for row in rows:
                await self._delete(key_of(row.digest, row.generation))
            count += len(rows)
            size += sum(row.size_bytes for row in rows)
            if not rows:
                return count, size

    async def _unknown(self, actor: str, before: float, dry_run: bool) -> tuple[int, int]:
        """Delete objects that no row knows: uploads and collections that were killed midway."""
        count = size = 0
        batch: list[StoredObject] = []
        async for entry in self._objects.alist():
            if entry.modified.timestamp() < before and read_key(entry.key) is not None:
                batch.append(entry)
            if len(batch) == _BATCH:
                count, size = _sum(count, size, await self._sweep(actor, batch, dry_run))
                batch = []
        return _sum(count, size, await self._sweep(actor, batch, dry_run))

    async def _sweep(
        self, actor: str, batch: Sequence[StoredObject], dry_run: bool
    ) -> list[StoredObject]:
        async with self._store.reading() as connection:
            unknown = [entry for entry in batch if await _is_unknown(connection, entry)]
        if dry_run or not unknown:
            return unknown
        swept = []
        async with self._store.begin(actor, "garbage") as change:
            for entry in unknown:
                if await _is_unknown(change.connection, entry):
                    digest, generation = read_key(entry.key) or ("", 0)
                    place = await place_of(change.connection, digest)
                    if place is None or place.generation < generation:
                        # An upload that is about to make this object known finds its generation
                        # used up, and publishes again under the next.
                        await enter(change, digest, Place(generation, present=False, size=0))
                    await change.record("blob.sweep", digest, generation=generation)
                    swept.append(entry)
        for entry in swept:
            await self._delete(entry.key)
        return swept

    async def _delete(self, key: str) -> None:
        failpoint(_BEFORE_DELETE)
        await self._objects.adelete(key)
        failpoint(_AFTER_DELETE)


def _condemned(before: float) -> Select[tuple[str, int, int]]:
    used = select(KERNELS.c.kernel_id).where(KERNELS.c.kernel_id == BLOBS.c.digest)
    return (
        select(BLOBS.c.digest, BLOBS.c.generation, BLOBS.c.size_bytes)
        .where(BLOBS.c.present == 1, BLOBS.c.touched_at < before, ~used.exists())
        .order_by(BLOBS.c.digest)
    )


async def _is_unknown(connection: AsyncConnection, entry: StoredObject) -> bool:
    digest, generation = read_key(entry.key) or ("", 0)
    place = await place_of(connection, digest)
    if place is None:
        return True
    # Of a blob that is there, an earlier generation is left over.
    return not place.present or generation < place.generation


def _sum(count: int, size: int, entries: Sequence[StoredObject]) -> tuple[int, int]:
    return count + len(entries), size + sum(entry.size for entry in entries)
