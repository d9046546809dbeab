"""Reads kernel files: shows what they hold, or only whether they hold what they should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from esper import bootstrap
from esper.blueprints.graph_weights import describe
from esper.cli.console import diagnostics, output, print_error
from esper.cli.exit_codes import ExitCode
from esper.cli.requests import KernelFileRequest
from esper.contracts.errors import ArtifactError, KernelError
from esper.contracts.library import Signature
from esper.execution.artifact import KernelArtifact, unpack
from esper.execution.artifact_check import ArtifactLimits
from esper.execution.signature_file import read_signatures
from esper.report import wording
from esper.utils import extras

if TYPE_CHECKING:
    # At run time it needs cryptography, which an installation without a library does not have.
    from esper.execution.trust import TrustPolicy


def run(request: KernelFileRequest) -> int:
    """Carry out `esper kernel show` and `verify`; looks at every kernel, whatever comes before.

    Returns:
        `ExitCode.FILE` when one was refused.

    Raises:
        ConfigError: a key that is to be trusted is none.
    """
    console, status = output(), ExitCode.OK
    trust = _policy(request.trust)
    for reference in request.kernels:
        try:
            artifact = read(reference)
            if trust is not None:
                trust.check(artifact.kernel_id, _signatures(reference, artifact.kernel_id))
        except KernelError as error:
            print_error(diagnostics(), str(error))
            status = ExitCode.FILE
            continue
        if request.show:
            _show(console, artifact, as_json=request.as_json)
        else:
            console.print(
                Text.assemble(
                    (reference, "name"), ": ", ("good", "good"), f" {artifact.kernel_id}"
                ),
                soft_wrap=True,
            )
    return status


def _policy(keys: tuple[Path, ...]) -> TrustPolicy | None:
    if not keys:
        return None
    policy: TrustPolicy = extras.load("esper.execution.trust").TrustPolicy.from_files(keys)
    return policy


def _signatures(reference: str, kernel_id: str) -> tuple[Signature, ...]:
    path = Path(reference)
    if path.exists():
        return read_signatures(path)
    return bootstrap.kernel_store().signatures(kernel_id)


def read(reference: str) -> KernelArtifact:
    """Read a kernel by path, or by an id (or its beginning) in the kernel store.

    Raises:
        KernelNotFoundError: there is no such kernel.
        ArtifactError: it fails a check, or the file cannot be read.
    """
    return unpack(read_bytes(reference), origin=reference)


def read_bytes(reference: str) -> bytes:
    """Read a kernel's bytes, unchecked, by path or by an id (or its beginning) in the store.

    Raises:
        KernelNotFoundError: there is no such kernel.
        ArtifactError: the file cannot be read, or is larger than a kernel may be.
    """
    path = Path(reference)
    if not path.exists():
        store = bootstrap.kernel_store()
        return store.get(store.resolve(reference))
    most = ArtifactLimits().file_bytes
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise ArtifactError(f"{path} has more bytes than the limit of {most}; it is no kernel")
    return data


def _show(console: Console, artifact: KernelArtifact, *, as_json: bool) -> None:
    facts = artifact.metadata
    if as_json:
        document = {
            "kernel_id": artifact.kernel_id,
            "metadata": facts.model_dump(mode="json"),
            "ir": artifact.ir.to_dict(),
        }
        console.print_json(json.dumps(document))
        return
    console.print(Text(artifact.kernel_id, style="name"), soft_wrap=True)
    rows = {
        "blueprint": facts.blueprint,
        "mode": facts.mode.value,
        "shape of a sample": f"{facts.input_shape} → {facts.output_shape}",
        "weights": f"{facts.dtype}, {wording.count(artifact.nbytes)} bytes",
        "parameters": wording.count(facts.parameters),
        "FLOPs per sample": wording.count(facts.flops),
        "written by": f"esper {facts.esper_version}, {facts.created_by or 'unknown'}",
        "notes": facts.notes,
    }
    for name, value in rows.items():
        if value:
            console.print(Text.assemble((f"{name}: ", "quiet"), value), soft_wrap=True)
    console.print(Text(describe(artifact.ir)), soft_wrap=True)
    console.print()
