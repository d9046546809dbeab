"""Takes tokens of a library back."""

from __future__ import annotations

from rich.text import Text

from esper import bootstrap
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import TokenRevokeRequest
from esper.cli.work.local_library import LOCAL, with_library


def run(request: TokenRevokeRequest) -> int:
    """Carry out `esper urza token revoke`.

    Raises:
        LibraryNotFoundError: there is no such token; those before it are revoked.
        LibraryError: the library refused, or its stores cannot be reached.
    """
    for token_id in request.token_ids:
        _revoke(request, token_id)
        output().print(Text.assemble((token_id, "name"), ": revoked"), soft_wrap=True)
    return ExitCode.OK


def _revoke(request: TokenRevokeRequest, token_id: str) -> None:
    if request.urza is None:
        with_library(request.folder, lambda library: library.tokens.revoke(LOCAL, token_id))
        return
    with bootstrap.library(request.urza) as library:
        library.revoke_token(token_id)
