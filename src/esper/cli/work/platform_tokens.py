"""Makes the tokens with which a platform's own services, and trainers, work with its library."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from esper.cli.work.local_library import LOCAL, with_library
from esper.contracts.enums import Role
from esper.contracts.errors import AccessDeniedError
from esper.contracts.library import TokenRequest
from esper.hosting.platform_plan import forge_token, trainer_token
from esper.hosting.private_file import write_private
from esper.services.urza.kernel_library import Library

_DAYS: Final = 3650.0
"""Longer than any platform runs: a token that ends would end its work. `token revoke` takes it."""


def issue_tokens(folder: Path) -> None:
    """Make the tokens that the library does not know, or no longer; makes the library, too.

    Args:
        folder: The platform's.

    Raises:
        LibraryError: The library's stores cannot be reached.
        PlatformError: A token cannot be written down.
    """
    wanted = {
        # It submits what trainers ask for over the bus, and builds it.
        forge_token(folder): (Role.COMPILER, Role.TRAINER),
        trainer_token(folder): (Role.TRAINER,),
    }
    kept = {path: path.read_text(encoding="utf-8") if path.exists() else "" for path in wanted}

    async def issued(library: Library) -> None:
        for path, roles in wanted.items():
            if not await _is_valid(library, kept[path]):
                request = TokenRequest(name=path.stem, roles=roles, days=_DAYS)
                token = await library.tokens.issue(LOCAL, request)
                write_private(path, token.secret)

    with_library(folder / "urza", issued)


async def _is_valid(library: Library, secret: str) -> bool:
    try:
        await library.tokens.authenticate(secret.strip())
    except AccessDeniedError:
        return False
    return True
