"""Stores kernels in a library."""

from __future__ import annotations

from pathlib import Path

from esper import bootstrap
from esper.cli.console import diagnostics, output, print_notice
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import KernelPushRequest
from esper.cli.work.kernel_file import read_bytes
from esper.cli.work.library_text import print_kernel, read_tags
from esper.contracts.library import KernelRegistration, Signature
from esper.execution.artifact import unpack
from esper.execution.signature_file import read_signatures
from esper.execution.signatures import read_private_key, sign


def run(request: KernelPushRequest) -> int:
    """Carry out `esper kernel push`: every file is checked before the first is sent.

    Raises:
        KernelError: a file is no kernel.
        ConfigError: a label or the key is not what it should be.
        LibraryError: the library refused.
    """
    tags = read_tags(request.tags)
    key = None if request.key is None else read_private_key(request.key)
    checked: list[tuple[bytes, KernelRegistration]] = []
    for reference in request.kernels:
        data = read_bytes(reference)
        kernel_id = unpack(data, origin=reference).kernel_id
        signatures = _present_signatures(reference, kernel_id)
        if key is not None:
            signatures = tuple(dict.fromkeys((*signatures, sign(kernel_id, key))))
        registration = KernelRegistration(
            kernel_id=kernel_id,
            blueprint_id=request.blueprint_id,
            host=request.host,
            tags=tags,
            signatures=signatures,
        )
        checked.append((data, registration))
    with bootstrap.library(request.urza) as library:
        for data, registration in checked:
            record = library.deposit(data, registration)
            print_kernel(output(), record)
            if not set(registration.signatures) <= set(record.signatures):
                print_notice(
                    diagnostics(),
                    "the library had this kernel already, and leaves it as it is; `esper kernel "
                    f"sign {registration.kernel_id} --key FILE` adds a signature to it",
                )
    return ExitCode.OK


def _present_signatures(reference: str, kernel_id: str) -> tuple[Signature, ...]:
    path = Path(reference)
    return (
        read_signatures(path) if path.exists() else bootstrap.kernel_store().signatures(kernel_id)
    )
