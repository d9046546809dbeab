"""Garbage: blobs that no kernel refers to, and what killed uploads left behind."""

from __future__ import annotations

import asyncio
from typing import Final

from obstore.exceptions import BaseError
from sqlalchemy import Select, select

from esper.contracts.errors import LibraryUnavailableError
from esper.contracts.library import GarbageReport
from esper.services.urza.blobs import Place, enter, key_of, place_of, read_key
from esper.services.urza.change import Store
from esper.services.urza.idempotency import Idempotency
from esper.services.urza.library_tables import BLOBS, KERNELS
from esper.utils.failpoint import declare, failpoint
from esper.utils.object_store import ObjectStore

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
            sizes = [
                *await self._unreferenced(actor, before, dry_run),
                *await self._unknown(actor, before, dry_run),
            ]
            if not dry_run:
                await asyncio.to_thread(self._objects.remove_unfinished, before)
                await self._idempotency.forget_expired(actor)
        except (BaseError, OSError) as problem:
            raise LibraryUnavailableError(
                f"the library's object store cannot serve now ({type(problem).__name__}); collect "
                "again later, nothing that is needed was removed"
            ) from problem
        return GarbageReport(blobs=len(sizes), bytes=sum(sizes))

    async def _unreferenced(self, actor: str, before: float, dry_run: bool) -> list[int]:
        """Condemn and delete known blobs; return their sizes."""
        if dry_run:
            async with self._store.reading() as connection:
                return [row.size_bytes for row in await connection.execute(_condemned(before))]
        sizes: list[int] = []
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
            sizes += [row.size_bytes for row in rows]
            if not rows:
                return sizes

    async def _unknown(self, actor: str, before: float, dry_run: bool) -> list[int]:
        """Delete objects that no row knows: uploads and collections that were killed midway.

        Returns:
            Their sizes.
        """
        sizes = []
        async for entry in self._objects.alist():
            named = read_key(entry.key)
            if named is None or entry.modified.timestamp() >= before:
                continue
            digest, generation = named
            async with self._store.reading() as connection:
                unknown = _is_unknown(await place_of(connection, digest), generation)
            if unknown and not dry_run:
                unknown = await self._sweep(actor, digest, generation)
            if unknown:
                sizes.append(entry.size)
        return sizes

    async def _sweep(self, actor: str, digest: str, generation: int) -> bool:
        """Delete an object unless it has become known; return whether it is gone."""
        async with self._store.begin(actor, "garbage") as change:
            place = await place_of(change.connection, digest)
            if not _is_unknown(place, generation):
                return False
            if place.generation < generation:
                # An upload that is about to make this object known finds its generation used up,
                # and publishes again under the next.
                await enter(change, digest, Place(generation))
            await change.record("blob.sweep", digest, generation=generation)
        await self._delete(key_of(digest, generation))
        return True

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


def _is_unknown(place: Place, generation: int) -> bool:
    # Of a blob that is there, an earlier generation is left over.
    return not place.present or generation < place.generation
