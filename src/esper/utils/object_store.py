"""ObjectStore: named byte strings in a folder, in memory or in a bucket, behind one small class.

A thin cover over `obstore`, which does the work: local writes go to a temporary name first, and
put-if-absent is atomic on every backend. There is no compare-and-swap on local folders, so
nothing that changes may live here.
"""

from __future__ import annotations

from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore
from obstore.store import MemoryStore
from obstore.store import ObjectStore as Backend


class ObjectStore:
    """Objects under keys such as `ab/abcdef.safetensors`; what is stored never changes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @staticmethod
    def local(root: Path) -> ObjectStore:
        """Return a store in the folder `root`, which is made if it does not exist.

        Raises:
            OSError: The folder cannot be made.
        """
        root.mkdir(parents=True, exist_ok=True)
        return ObjectStore(LocalStore(root, automatic_cleanup=False))

    @staticmethod
    def memory() -> ObjectStore:
        """Return a store that lives as long as this object."""
        return ObjectStore(MemoryStore())

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Store `data` under `key` unless something is there; return whether it was stored."""
        try:
            obstore.put(self._backend, key, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def replace(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, whatever was there (for mending a damaged object)."""
        obstore.put(self._backend, key, data, mode="overwrite")

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

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens if there is none."""
        if self.size(key) is not None:
            obstore.delete(self._backend, key)
