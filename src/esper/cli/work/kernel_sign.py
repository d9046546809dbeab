"""Signs kernels: files beside the file, others in the library."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from esper import bootstrap
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import KernelSignRequest
from esper.cli.work.kernel_file import read
from esper.cli.work.kernel_reference import fetched, resolve
from esper.contracts.library import Signature
from esper.execution.signature_file import add_signature
from esper.execution.signatures import new_key, read_private_key, sign, write_public_key

PUBLIC = ".pub"


def run(request: KernelSignRequest) -> int:
    """Carry out `esper kernel sign`: nothing is signed that loading would refuse.

    Raises:
        ConfigError: the key, or a reference, is not what it should be.
        KernelError: a kernel failed a check.
        LibraryError: the library refused.
    """
    if request.new_key:
        key = new_key(request.key)
        public = request.key.with_name(request.key.name + PUBLIC)
        write_public_key(public, key.public_key())
    else:
        key = read_private_key(request.key)
    files = [reference for reference in request.kernels if Path(reference).exists()]
    for reference in files:
        signature = sign(read(reference).kernel_id, key)
        add_signature(Path(reference), signature)
        _say(reference, signature)
    rest = [reference for reference in request.kernels if reference not in files]
    if rest:
        with bootstrap.library(request.urza) as library:
            for reference in rest:
                _, artifact = fetched(library, resolve(library, reference))
                signature = sign(artifact.kernel_id, key)
                library.sign(artifact.kernel_id, signature)
                _say(reference, signature)
    return ExitCode.OK


def _say(reference: str, signature: Signature) -> None:
    text = Text.assemble((reference, "name"), f": signed by {signature.key_id}")
    output().print(text, soft_wrap=True)
