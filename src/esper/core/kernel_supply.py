"""KernelSupply: finds a kernel by id or by path, and makes a module of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from esper.contracts.errors import KernelNotFoundError
from esper.contracts.ports import KernelSource
from esper.execution.artifact import KernelArtifact
from esper.execution.artifact import read_kernel_file
from esper.execution.kernel_cache import KernelCache
from esper.execution.kernel_store import LocalKernelStore

_SUFFIX = ".safetensors"


@dataclass
class KernelSupply:
    """One cache before one source. The copies of a model share it; a pickle leaves it behind.

    Args:
        source: Where ids are looked up; None is the local store in the user's cache folder.
        max_bytes: Bound of the cache.
    """

    source: KernelSource | None
    max_bytes: int
    _cache: KernelCache | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> KernelSupply:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (KernelSupply, (None, self.max_bytes))

    @property
    def cache(self) -> KernelCache:
        """The cache, made when it is first needed: a model that loads no kernel opens no store."""
        if self._cache is None:
            source = LocalKernelStore() if self.source is None else self.source
            self._cache = KernelCache(source, max_bytes=self.max_bytes)
        return self._cache

    def load_sync(self, reference: str | Path, device: torch.device) -> KernelArtifact:
        """Return the kernel under an id or in a file, checked.

        Raises:
            KernelNotFoundError: There is no such id or file.
            ArtifactError: The bytes are not a valid kernel.
        """
        path = _as_path(reference)
        if path is not None:
            return _read(path)
        return self.cache.load_sync(str(reference), device)

    async def load(self, reference: str | Path, device: torch.device) -> KernelArtifact:
        """Do what `load_sync` does without blocking the event loop."""
        path = _as_path(reference)
        if path is not None:
            return await asyncio.to_thread(_read, path)
        return await self.cache.load(str(reference), device)


def _as_path(reference: str | Path) -> Path | None:
    """Return a path if the reference is one: ids are plain words without separator or suffix."""
    if isinstance(reference, Path):
        return reference
    path = Path(reference)
    return path if path.suffix == _SUFFIX or path.name != reference or path.is_file() else None


def _read(path: Path) -> KernelArtifact:
    try:
        return read_kernel_file(path)
    except OSError as error:
        raise KernelNotFoundError(
            f"the kernel file '{path}' cannot be read: {error.strerror}. Give a file that "
            f"`esper kernel build` or `artifact.pack` made, or the id of a stored kernel."
        ) from error
