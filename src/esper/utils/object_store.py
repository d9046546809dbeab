"""ObjectStore: named byte strings in a folder or in a bucket, behind one small class.

A thin cover over `obstore`, which does the work: local writes go to a temporary name first, and
put-if-absent is atomic on every backend. There is no compare-and-swap on local folders, so
nothing that changes may live here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, S3Store
from obstore.store import ObjectStore as Backend

from esper.utils.home import private_folder

_CHUNK: Final = 2**20

# Names of a local store's unfinished writes, which listings leave out.
_UNFINISHED: Final = re.compile(r".*#\d+")


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object as listings show it."""

    key: str
    """Its key."""
    size: int
    """Its size in bytes."""
    modified: datetime
    """When it was written, UTC, by the store's own clock."""


class ObjectStore:
    """Objects under keys such as `ab/abcdef.safetensors`; what is stored never changes."""

    def __init__(self, backend: Backend, *, durable_root: Path | None = None) -> None:
        self._backend = backend
        self._durable_root = durable_root

    @staticmethod
    def s3(
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        region: str = "us-east-1",
        access_key: str = "",
        secret_key: str = "",
    ) -> ObjectStore:
        """Return a store in a bucket of an S3-compatible server; nothing is connected yet.

        Args:
            bucket: Its name.
            prefix: Begins every key; empty for none.
            endpoint: URL of the server; None for the provider's own.
            region: Region of the bucket.
            access_key: Empty leaves it to the provider's environment variables.
            secret_key: The same.
        """
        keys: dict[str, Any] = {}
        if access_key:
            keys = {"access_key_id": access_key, "secret_access_key": secret_key}
        if endpoint is not None:
            keys["endpoint"] = endpoint
        backend = S3Store(
            bucket,
            prefix=prefix or None,
            region=region,
            virtual_hosted_style_request=endpoint is None,
            client_options={
                "allow_http": (endpoint or "").startswith("http://"),
                "connect_timeout": "5s",
                "timeout": "120s",
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=15)},
            **keys,
        )
        return ObjectStore(backend)

    @staticmethod
    def local(root: Path, *, durable: bool = False) -> ObjectStore:
        """Return a store in the folder `root`, which is made if it does not exist.

        Args:
            root: The folder.
            durable: Whether `aput_if_absent` also waits until the object outlives a power failure.

        Raises:
            OSError: The folder cannot be made.
        """
        private_folder(root)
        backend = LocalStore(root, automatic_cleanup=False)
        return ObjectStore(backend, durable_root=root if durable else None)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store `data` under `key` unless something is there; return whether it was stored."""
        try:
            obstore.put(self._backend, key, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    async def aput_if_absent(self, key: str, data: bytes | IO[bytes]) -> bool:
        """Store `data`, bytes or an open file from where it stands, unless something is there.

        Returns:
            Whether it was stored.
        """
        try:
            # One request: several parts cannot be put "if absent".
            await obstore.put_async(self._backend, key, data, mode="create", use_multipart=False)
            stored = True
        except AlreadyExistsError:
            stored = False
        if self._durable_root is not None:
            await asyncio.to_thread(_sync, self._durable_root, self._durable_root / key)
        return stored

    async def astream(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `end`, which is left out, in pieces.

        Raises:
            FileNotFoundError: There is no such object.
        """
        if end <= start:
            return
        found = await obstore.get_async(self._backend, key, options={"range": (start, end)})
        async for piece in found.stream(min_chunk_size=_CHUNK):
            yield bytes(piece)

    async def alist(self) -> AsyncIterator[StoredObject]:
        """Yield all objects, in no order."""
        async for batch in obstore.list(self._backend):
            for entry in batch:
                yield StoredObject(
                    key=entry["path"], size=entry["size"], modified=entry["last_modified"]
                )

    async def adelete(self, key: str) -> None:
        """Remove the object; nothing happens if there is none."""
        try:
            await obstore.delete_async(self._backend, key)
        except FileNotFoundError:
            return

    def remove_unfinished(self, before: float) -> int:
        """Remove what writes left behind that were killed before `before`; return how many.

        Args:
            before: Seconds since the epoch.
        """
        if not isinstance(self._backend, LocalStore) or self._backend.prefix is None:
            return 0
        removed = 0
        for path in Path(self._backend.prefix).rglob("*#*"):
            with contextlib.suppress(FileNotFoundError):  # its write has ended meanwhile
                if _UNFINISHED.fullmatch(path.name) and path.stat().st_mtime < before:
                    path.unlink()
                    removed += 1
        return removed

    def replace(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, whatever was there (for mending a damaged object)."""
        obstore.put(self._backend, key, data, mode="overwrite")

    async def areplace(self, key: str, data: bytes) -> None:
        """Do what `replace` does without blocking the event loop."""
        await obstore.put_async(self._backend, key, data, mode="overwrite", use_multipart=False)

    def get(self, key: str) -> bytes | None:
        """Return the object's bytes, or None if there is none."""
        try:
            return bytes(obstore.get(self._backend, key).bytes())
        except FileNotFoundError:
            return None

    async def aget(self, key: str) -> bytes | None:
        """Do what `get` does without blocking the event loop."""
        try:
            found = await obstore.get_async(self._backend, key)
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None

    def size(self, key: str) -> int | None:
        """Return the object's size in bytes, or None if there is none."""
        try:
            return obstore.head(self._backend, key)["size"]
        except FileNotFoundError:
            return None

    def list_keys(self, prefix: str = "") -> list[str]:
        """Return all keys under a prefix that ends at a slash, sorted."""
        batches = obstore.list(self._backend, prefix or None)
        return sorted(entry["path"] for batch in batches for entry in batch)


def _sync(root: Path, path: Path) -> None:
    """Wait until the file, its name and the folders down to it are on the disk."""
    for place in (path, *(folder for folder in path.parents if folder.is_relative_to(root))):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
