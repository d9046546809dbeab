"""Memory: how many bytes of tensors are alive at once while something runs."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from typing_extensions import override


class _Allocations(TorchDispatchMode):
    """Counts the storages of all tensors that ops return, for as long as they live.

    Unlike the process's memory it is exact and the same each time; what an op uses inside and
    gives back before it returns is not in it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.peak = 0
        self._alive: dict[int, int] = {}
        self._now = 0

    @override
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {id(storage) for storage in _storages((args, kwargs))}
        for storage in _storages(out):
            # What came in is older than the work, or watched already; views and in-place ops.
            if id(storage) not in given:
                self._watch(storage)
        return out

    def _watch(self, storage: UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._alive:
            return
        self._alive[key] = size
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._forget, key).atexit = False

    def _forget(self, key: int) -> None:
        self._now -= self._alive.pop(key, 0)


def _storages(values: Any) -> list[UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the most bytes of tensors made in `work` that were alive at the same time."""
    counter = _Allocations()
    with counter:
        work()
    return counter.peak
