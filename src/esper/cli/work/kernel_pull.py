"""Gets kernels from a library."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from esper import bootstrap
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import KernelPullRequest
from esper.cli.work.kernel_reference import fetched, resolve
from esper.cli.work.library_text import kernel_facts
from esper.contracts.enums import KernelStatus
from esper.contracts.errors import ArtifactError, ConfigError
from esper.contracts.library import KernelRecord, Signature
from esper.core.durable_file import write_durably
from esper.execution.signature_file import add_signature
from esper.execution.trust import TrustPolicy
from esper.services.urza.client.urza_client import UrzaClient


def run(request: KernelPullRequest) -> int:
    """Carry out `esper kernel pull`: what fails a check is not kept.

    Raises:
        ConfigError: a reference, the key or `--output` is not what it should be.
        KernelError: a kernel failed a check, is not trusted, or was rejected.
        LibraryError: the library refused.
        CheckpointError: the file cannot be written.
    """
    if request.output is not None and len(request.kernels) > 1:
        raise ConfigError("--output is for one kernel; without it, they go into the kernel store")
    trust = TrustPolicy.from_files(request.trust) if request.trust else None
    with bootstrap.library(request.urza) as library:
        for reference in request.kernels:
            _pull(library, reference, request, trust)
    return ExitCode.OK


def _pull(
    library: UrzaClient, reference: str, request: KernelPullRequest, trust: TrustPolicy | None
) -> None:
    kernel_id = resolve(library, reference)
    record = library.kernel(kernel_id)
    if record.status is KernelStatus.REJECTED and not request.rejected:
        raise ArtifactError(
            f"kernel {kernel_id} was rejected: {_why(record)}; --rejected takes it all the same"
        )
    data, artifact = fetched(library, kernel_id)
    if trust is not None:
        trust.check(artifact.kernel_id, record.signatures)
    where = _keep(data, record.signatures, request.output)
    console = output()
    console.print(Text(kernel_id, style="name"), soft_wrap=True)
    console.print(Text(f"  {', '.join(kernel_facts(record))} → {where}"), soft_wrap=True)


def _keep(data: bytes, signatures: tuple[Signature, ...], path: Path | None) -> str:
    if path is None:
        store = bootstrap.kernel_store()
        kernel_id = store.put(data)
        for signature in signatures:
            store.sign(kernel_id, signature)
        return f"kernel store {store.root}"
    write_durably(path, data)
    for signature in signatures:
        add_signature(path, signature)
    return str(path)


def _why(record: KernelRecord) -> str:
    failed = record.report is not None and not record.report.passed
    return record.report.reason if failed and record.report else "the audit log says by whom"
