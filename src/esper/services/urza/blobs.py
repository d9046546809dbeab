"""Blobs: kernel files by the SHA-256 of their bytes, verified before anybody can see them.

An upload is spooled, hashed, put into the object store under a name of its own, and then made
known by a row. The name holds a generation that grows with every collection of the same digest,
so a collector that was held up between its decision and its deletion can only ever remove what
it condemned, never what was uploaded since.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from obstore.exceptions import BaseError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from esper.contracts.errors import LibraryNotFoundError, LibraryUnavailableError, SubmissionError
from esper.services.urza.change import Change, Store
from esper.services.urza.library_tables import BLOBS
from esper.utils.failpoint import declare, failpoint
from esper.utils.object_store import ObjectStore

_BEFORE_PUBLISH: Final = declare("urza.blobs.before-publish")
_AFTER_PUBLISH: Final = declare("urza.blobs.after-publish")
_KEY: Final = re.compile(r"[0-9a-f]{2}/(?P<digest>[0-9a-f]{64})\.(?P<generation>[1-9][0-9]{0,8})")
_IN_MEMORY: Final = 2**23
_FIND: Final = "SELECT generation, present, size_bytes FROM blobs WHERE digest = $1"


@dataclass(frozen=True)
class Place:
    """Where the bytes of a digest lie, or lay last; nowhere so far without anything said."""

    generation: int = 0
    present: bool = False
    size: int = 0


class Blobs:
    """The kernel files.

    Args:
        store: Knows which there are.
        objects: Holds the bytes.
        max_bytes: Largest file that is taken.
        spool: Folder for uploads under way that are too large for memory.
    """

    def __init__(
        self, store: Store, objects: ObjectStore, *, max_bytes: int, spool: Path | None
    ) -> None:
        self._store = store
        self._objects = objects
        self._max_bytes = max_bytes
        self._spool = None if spool is None else str(spool)

    async def put(
        self, actor: str, digest: str, chunks: AsyncIterator[bytes], length: int | None = None
    ) -> bool:
        """Store what `chunks` yields under its digest; return whether it was not there yet.

        Raises:
            SubmissionError: The bytes have another digest or length, or are too many.
            LibraryUnavailableError: The store cannot serve now.
        """
        # A file without a name: what a killed upload leaves behind is gone with its process.
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=self._spool) as spooled:
            size = await self._receive(spooled, digest, chunks, length)
            while True:
                place = await self._place(digest)
                if not place.present:
                    await self._publish(key_of(digest, place.generation + 1), spooled)
                stored = await self._make_known(actor, digest, size, place)
                if stored is not None:
                    return stored

    async def size(self, digest: str) -> int | None:
        """Return the size of a blob in bytes; None if it is not stored.

        Raises:
            LibraryUnavailableError: The database cannot serve now.
        """
        place = await self._place(digest)
        return place.size if place.present else None

    async def read(
        self, digest: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `end`, which is left out; to the end for None.

        Raises:
            LibraryNotFoundError: No such blob is stored.
            LibraryUnavailableError: The store cannot serve now.
        """
        place = await self._place(digest)
        if not place.present:
            raise LibraryNotFoundError(f"no blob is stored under {digest:.80}; upload it first")
        stop = place.size if end is None else min(end, place.size)
        try:
            async for piece in self._objects.astream(key_of(digest, place.generation), start, stop):
                yield piece
        except (BaseError, OSError) as problem:
            raise _unavailable(problem) from problem

    async def whole(self, digest: str) -> bytes:
        """Return all bytes of a blob.

        Raises:
            LibraryNotFoundError: No such blob is stored.
            LibraryUnavailableError: The store cannot serve now.
        """
        return b"".join([piece async for piece in self.read(digest)])

    async def _place(self, digest: str) -> Place:
        row = await self._store.database.point(_FIND, digest)
        return Place() if row is None else Place(row[0], present=bool(row[1]), size=row[2])

    async def _receive(
        self, spooled: IO[bytes], digest: str, chunks: AsyncIterator[bytes], length: int | None
    ) -> int:
        """Write the chunks to the spool, check them, and return how many bytes they are."""
        found, size = hashlib.sha256(), 0
        async for chunk in chunks:
            size += len(chunk)
            if size > self._max_bytes:
                raise SubmissionError(f"the upload is larger than the limit, {self._max_bytes} B")
            found.update(chunk)
            spooled.write(chunk)
        if length is not None and size != length:
            raise SubmissionError(f"{size} bytes were sent, {length} were announced; send it again")
        if found.hexdigest() != digest:
            raise SubmissionError(
                f"the bytes have the SHA-256 {found.hexdigest()}, not {digest}; send it again"
            )
        return size

    async def _publish(self, key: str, spooled: IO[bytes]) -> None:
        spooled.seek(0)
        failpoint(_BEFORE_PUBLISH)
        try:
            # Already there means: another upload of these bytes, or one that was killed here.
            await self._objects.aput_if_absent(key, spooled)
        except (BaseError, OSError) as problem:
            raise _unavailable(problem) from problem
        failpoint(_AFTER_PUBLISH)

    async def _make_known(self, actor: str, digest: str, size: int, expected: Place) -> bool | None:
        """Enter the blob; return whether it is new, or None if it must be published again."""
        async with self._store.begin(actor, "blobs") as change:
            place = await place_of(change.connection, digest)
            if place.present:
                # Used again: a garbage collection must wait for its new grace.
                await enter(change, digest, place)
                return False
            if expected.present or place.generation != expected.generation:
                return None
            await enter(change, digest, Place(expected.generation + 1, present=True, size=size))
            await change.record("blob.store", digest, bytes=size)
            return True


def key_of(digest: str, generation: int) -> str:
    """Return the name of an object; two levels, so that no folder gets too many files."""
    return f"{digest[:2]}/{digest}.{generation}"


def read_key(key: str) -> tuple[str, int] | None:
    """Return digest and generation from an object's name; None if it is not one of ours."""
    match = _KEY.fullmatch(key)
    return None if match is None else (match["digest"], int(match["generation"]))


async def place_of(connection: AsyncConnection, digest: str) -> Place:
    """Return where the bytes of a digest lie, within a transaction."""
    statement = select(BLOBS).where(BLOBS.c.digest == digest)
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        return Place()
    return Place(row.generation, present=bool(row.present), size=row.size_bytes)


async def enter(change: Change, digest: str, place: Place) -> None:
    """Write down where the bytes of a digest lie, and that they are in use."""
    await change.put(
        BLOBS,
        digest,
        generation=place.generation,
        present=int(place.present),
        size_bytes=place.size,
        touched_at=change.now,
    )


def _unavailable(problem: Exception) -> LibraryUnavailableError:
    return LibraryUnavailableError(
        f"the library's object store cannot serve now ({type(problem).__name__}); try again later"
    )
