"""KernelSupply: finds a kernel by id or by path, for a layer that it fits, if its maker is trusted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esper.contracts.errors import KernelNotFoundError
from esper.contracts.ports import KernelSource
from esper.execution.artifact import KernelArtifact, read_kernel_file
from esper.execution.compatibility import check_compatible
from esper.execution.kasmina_layer import KasminaLayer
from esper.execution.kernel_cache import KernelCache
from esper.execution.kernel_store import LocalKernelStore
from esper.execution.signature_file import read_signatures

if TYPE_CHECKING:
    from esper.execution.trust import TrustPolicy

_SUFFIX = ".safetensors"


class KernelSupply:
    """Where a model's kernels come from: one cache. The copies of a model share it.

    A pickle leaves the cache behind, but not whom it trusts.

    Args:
        source: Where ids are looked up: a cache, which is used as it is; a source, before which
            a cache is put; None is the local store in the user's cache folder.
        max_bytes: Bound of the cache that is made here.
        trust: Whose kernels that cache takes; a cache that is given has its own policy.
    """

    def __init__(
        self,
        source: KernelSource | KernelCache | None,
        max_bytes: int,
        *,
        trust: TrustPolicy | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self.trust = trust
        self._source: KernelSource | None = None
        self._cache: KernelCache | None = None
        if isinstance(source, KernelCache):
            self._cache, self.trust = source, source.trust
        else:
            self._source = source

    def __deepcopy__(self, memo: dict[int, Any]) -> KernelSupply:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_unpickled, (self.max_bytes, self.trust))

    @property
    def cache(self) -> KernelCache:
        """The cache, made when it is first needed: a model that loads no kernel opens no store."""
        if self._cache is None:
            source = LocalKernelStore() if self._source is None else self._source
            self._cache = KernelCache(source, max_bytes=self.max_bytes, trust=self.trust)
        return self._cache

    def load_sync(self, reference: str | Path, layer: KasminaLayer) -> KernelArtifact:
        """Return the kernel under an id or in a file, checked, for this layer.

        Raises:
            KernelNotFoundError: There is no such id or file.
            ArtifactError: The bytes are not a valid kernel.
            UntrustedKernelError: The trust policy refuses it.
            KernelMismatchError: It cannot stand in this layer.
            LibraryError: Ids are looked up in a library, and that cannot serve.
        """
        path = _as_path(reference)
        if path is not None:
            artifact = self._read(path)
        else:
            artifact = self.cache.load_sync(str(reference), layer.state.device)
        check_compatible(artifact, layer)
        return artifact

    async def load(self, reference: str | Path, layer: KasminaLayer) -> KernelArtifact:
        """Do what `load_sync` does without blocking the event loop."""
        path = _as_path(reference)
        if path is not None:
            artifact = await asyncio.to_thread(self._read, path)
        else:
            artifact = await self.cache.load(str(reference), layer.state.device)
        check_compatible(artifact, layer)
        return artifact

    def _read(self, path: Path) -> KernelArtifact:
        try:
            artifact = read_kernel_file(path)
        except OSError as error:
            raise KernelNotFoundError(
                f"the kernel file '{path}' cannot be read: {error.strerror}. Give a file that "
                f"`esper kernel build` or `artifact.pack` made, or the id of a stored kernel."
            ) from error
        if self.trust is not None:
            self.trust.check(artifact.kernel_id, read_signatures(path))
        return artifact


def _unpickled(max_bytes: int, trust: TrustPolicy | None) -> KernelSupply:
    return KernelSupply(None, max_bytes, trust=trust)


def _as_path(reference: str | Path) -> Path | None:
    """Return a path if the reference is one: ids are plain words without separator or suffix."""
    if isinstance(reference, Path):
        return reference
    path = Path(reference)
    return path if path.suffix == _SUFFIX or path.name != reference or path.is_file() else None
