"""LocalKernelStore: kernel files in a folder, each under the SHA-256 of its bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from esper.contracts.errors import ArtifactError, KernelNotFoundError
from esper.contracts.library import Signature
from esper.execution.artifact_check import (
    ArtifactLimits,
    check_file,
    is_kernel_id,
    kernel_id_of,
)
from esper.execution.signature_file import add_signature, read_signatures
from esper.utils.home import cache_home
from esper.utils.object_store import ObjectStore

SUFFIX: Final = ".safetensors"
SHORTEST_PREFIX: Final = 4
_PREFIX = re.compile(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}")


def default_root(environ: Mapping[str, str] | None = None) -> Path:
    """Return `$ESPER_HOME/kernels`, or `kernels` in the user's cache folder for Esper."""
    return cache_home(environ) / "kernels"


class LocalKernelStore:
    """Kernels by id in a folder. Implements the port `SignedSource`.

    Bytes are verified whenever they are read. Writers in several processes do not disturb each
    other: equal ids mean equal bytes.

    Args:
        root: The folder; default `default_root()`. Made when it does not exist.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()
        self._objects = ObjectStore.local(self.root)

    def put(self, data: bytes) -> str:
        """Store a kernel file and return its id; a damaged copy under that id is mended."""
        kernel_id = kernel_id_of(data)
        key = _key(kernel_id)
        if not self._objects.put_if_absent(key, data) and self._objects.get(key) != data:
            self._objects.replace(key, data)
        return kernel_id

    def get(self, artifact_id: str) -> bytes:
        """Return the bytes of a kernel file.

        Raises:
            KernelNotFoundError: No such kernel, or `artifact_id` is no id.
            ArtifactError: The stored bytes are damaged.
        """
        return self._verified(artifact_id, self._objects.get(self._known_form(artifact_id)))

    def exists(self, artifact_id: str) -> bool:
        """Return whether a kernel is stored under `artifact_id`."""
        return is_kernel_id(artifact_id) and self._objects.size(_key(artifact_id)) is not None

    def list(self) -> list[str]:
        """Return the ids of all stored kernels, sorted."""
        names = (key.rsplit("/", 1)[-1].removesuffix(SUFFIX) for key in self._objects.list_keys())
        return sorted(filter(is_kernel_id, names))

    def fetch(self, kernel_id: str) -> bytes:
        """Return the bytes of a kernel file; `get` under the name of the other port."""
        return self.get(kernel_id)

    def signatures(self, kernel_id: str) -> tuple[Signature, ...]:
        """Return the signatures that stand beside a kernel, unchecked.

        Raises:
            KernelNotFoundError: No such kernel.
            ArtifactError: The signature file is not what it should be.
        """
        return read_signatures(self._stored_file(kernel_id))

    def sign(self, kernel_id: str, signature: Signature) -> None:
        """Put a signature beside a kernel; one that is there already changes nothing.

        Raises:
            KernelNotFoundError: No such kernel.
            ArtifactError: The signature file is not what it should be.
        """
        add_signature(self._stored_file(kernel_id), signature)

    def resolve(self, reference: str | Path) -> str:
        """Return the id that a person means by an id, its beginning, or a path.

        Args:
            reference: A full id, at least four of its first characters, or the path of a kernel
                file, which is checked and stored.

        Raises:
            KernelNotFoundError: Nothing fits, or more than one kernel does.
            ArtifactError: The file at the path is no kernel.
        """
        path = Path(reference)
        if path.is_file():
            kernel_id = self.put(_checked_bytes(path))
            for signature in read_signatures(path):
                self.sign(kernel_id, signature)
            return kernel_id
        text = str(reference)
        if not _PREFIX.fullmatch(text):
            raise KernelNotFoundError(
                f"{text!r} is neither a kernel file nor the beginning of a kernel's id "
                f"({SHORTEST_PREFIX} to 64 of 0-9 a-f); `esper kernel build` makes a file"
            )
        fitting = [kernel_id for kernel_id in self.list() if kernel_id.startswith(text)]
        if len(fitting) != 1:
            what = "no kernel" if not fitting else f"{len(fitting)} kernels"
            raise KernelNotFoundError(
                f"{what} in {self.root} with an id that begins with {text!r}; "
                + ("give more characters" if fitting else "store the file first, or give its path")
            )
        return fitting[0]

    def _stored_file(self, kernel_id: str) -> Path:
        path = self.root / self._known_form(kernel_id)
        if not path.is_file():
            raise self._absent(kernel_id)
        return path

    def _absent(self, kernel_id: str) -> KernelNotFoundError:
        return KernelNotFoundError(
            f"no kernel {kernel_id} in {self.root}; store its file there first"
        )

    def _known_form(self, kernel_id: str) -> str:
        if not is_kernel_id(kernel_id):
            raise KernelNotFoundError(
                f"{kernel_id!r} is no kernel id (64 of 0-9 a-f); resolve() takes short forms"
            )
        return _key(kernel_id)

    def _verified(self, kernel_id: str, data: bytes | None) -> bytes:
        if data is None:
            raise self._absent(kernel_id)
        if kernel_id_of(data) != kernel_id:
            raise ArtifactError(
                f"the kernel {kernel_id} in {self.root} is damaged: its bytes have another "
                "SHA-256; store its file again, which mends it"
            )
        return data


def _checked_bytes(path: Path) -> bytes:
    """Return the file's bytes, which passed the check; not more are read than a kernel may have."""
    limits = ArtifactLimits()
    with path.open("rb") as file:
        data = file.read(limits.file_bytes + 1)
    check_file(data, limits=limits, origin=str(path))
    return data


def _key(kernel_id: str) -> str:
    # Two levels, so that no folder gets too many files for common file systems' tools.
    return f"{kernel_id[:2]}/{kernel_id}{SUFFIX}"
