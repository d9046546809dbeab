"""Fakes that fill the cache's ports: a source, a signed source, a tier."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from esper.contracts.errors import KernelNotFoundError
from esper.contracts.library import Signature


class Shelf:
    """A source that counts fetches and can be held shut, to pile requests up."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.fetched: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def fetch(self, kernel_id: str) -> bytes:
        self.fetched.append(kernel_id)
        assert self.gate.wait(300)
        try:
            return self.files[kernel_id]
        except KeyError:
            raise KernelNotFoundError(f"no kernel {kernel_id}; store it first") from None


class SignedShelf(Shelf):
    """A source that also has signatures."""

    def __init__(
        self, files: Mapping[str, bytes], signed: Mapping[str, Sequence[Signature]]
    ) -> None:
        super().__init__(files)
        self.signed = dict(signed)

    def signatures(self, kernel_id: str) -> Sequence[Signature]:
        return self.signed.get(kernel_id, ())


class Drawer:
    """A tier in a dictionary, which records what it is asked."""

    def __init__(self, name: str = "drawer", files: Mapping[str, bytes] | None = None) -> None:
        self.name = name
        self.files = dict(files or {})
        self.errors = 0
        self.asked: list[tuple[str, str]] = []

    def get(self, kernel_id: str) -> bytes | None:
        self.asked.append(("get", kernel_id))
        return self.files.get(kernel_id)

    def put(self, kernel_id: str, data: bytes) -> None:
        self.asked.append(("put", kernel_id))
        self.files[kernel_id] = data

    def discard(self, kernel_id: str) -> None:
        self.asked.append(("discard", kernel_id))
        self.files.pop(kernel_id, None)
