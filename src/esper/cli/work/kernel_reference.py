"""What a person means by a kernel in a library: an id, or an alias."""

from __future__ import annotations

from esper.contracts.errors import ConfigError
from esper.execution.artifact import KernelArtifact, unpack
from esper.execution.artifact_check import is_kernel_id
from esper.services.urza.client.urza_client import UrzaClient


def resolve(library: UrzaClient, reference: str) -> str:
    """Return the id that a reference stands for.

    Raises:
        ConfigError: it is neither an id nor an alias.
        LibraryNotFoundError: there is no such alias.
    """
    if "@" in reference:
        return library.alias(reference).kernel_id
    if is_kernel_id(reference):
        return reference
    raise ConfigError(
        f"{reference!r} is neither a kernel's id (64 of 0-9 a-f) nor an alias like "
        "edge-conv@production; `esper kernel search` prints ids"
    )


def fetched(library: UrzaClient, kernel_id: str) -> tuple[bytes, KernelArtifact]:
    """Return a kernel's bytes and what they hold, after every check that loading does.

    Raises:
        KernelNotFoundError: the library has no such kernel.
        ArtifactError: a check failed; the bytes are dropped.
    """
    data = library.fetch(kernel_id)
    origin = f"kernel {kernel_id} of {library.config.url}"
    return data, unpack(data, expected_id=kernel_id, origin=origin)
