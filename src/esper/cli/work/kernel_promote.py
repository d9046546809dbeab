"""Moves a kernel's status, and points aliases at kernels."""

from __future__ import annotations

from rich.text import Text

from esper import bootstrap
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import KernelPromoteRequest
from esper.cli.work.kernel_reference import resolve
from esper.cli.work.library_text import print_kernel, read_choice
from esper.contracts.asset_lifecycle import KernelEvent
from esper.contracts.errors import ConfigError, LibraryNotFoundError
from esper.services.urza.client.urza_client import UrzaClient


def run(request: KernelPromoteRequest) -> int:
    """Carry out `esper kernel promote`: the status first, then the alias.

    Raises:
        ConfigError: it is not said what to do.
        IllegalTransitionError: the kernel's table has no such move.
        LibraryError: the library refused; RevisionConflictError: somebody was faster.
    """
    if request.alias is None and request.event is None:
        raise ConfigError("say what to do: name an ALIAS to point at the kernel, or --event")
    if request.alias is not None and request.event is not None and request.revision is not None:
        raise ConfigError("--revision is for one change; give the ALIAS or --event, not both")
    event = None
    if request.event is not None:
        event = read_choice(KernelEvent, request.event, "--event")
    with bootstrap.library(request.urza) as library:
        kernel_id = resolve(library, request.kernel)
        if event is not None:
            _move(library, kernel_id, event, request)
        if request.alias is not None:
            _point(library, kernel_id, request.alias, request.revision)
    return ExitCode.OK


def _move(
    library: UrzaClient, kernel_id: str, event: KernelEvent, request: KernelPromoteRequest
) -> None:
    revision = request.revision
    if revision is None:
        revision = library.kernel(kernel_id).revision
    record = library.move_kernel(kernel_id, event, revision=revision, reason=request.reason)
    print_kernel(output(), record)


def _point(library: UrzaClient, kernel_id: str, name: str, revision: int | None) -> None:
    before = None
    if revision is None:
        try:
            now = library.alias(name)
        except LibraryNotFoundError:
            revision = 0
        else:
            revision, before = now.revision, now.kernel_id
    alias = library.set_alias(name, kernel_id, revision=revision or None)
    text = Text.assemble((alias.name, "name"), f" → {alias.kernel_id}, revision {alias.revision}")
    if before is not None:
        text.append(f" (was {before})", "quiet")
    output().print(text, soft_wrap=True)
