"""Makes a token for a library."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from esper import bootstrap
from esper.cli.console import diagnostics, output, print_notice
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import TokenIssueRequest
from esper.cli.work.library_text import read_choice
from esper.cli.work.local_library import LOCAL, with_library
from esper.contracts.enums import Role
from esper.contracts.errors import ConfigError
from esper.contracts.library import IssuedToken, TokenRequest


def run(request: TokenIssueRequest) -> int:
    """Carry out `esper urza token issue`.

    Raises:
        ConfigError: a role or the name is not what it should be, or the file exists.
        LibraryError: the library refused, or its stores cannot be reached.
    """
    wanted = _wanted(request)
    # The file first: a token that cannot be written down would be lost, and still be valid.
    file = None if request.output is None else _new_file(request.output)
    try:
        issued = _issue(request, wanted)
    except BaseException:
        if file is not None and request.output is not None:
            os.close(file)
            request.output.unlink()
        raise
    if file is None:
        output().print(issued.secret, soft_wrap=True)
    else:
        with os.fdopen(file, "w", encoding="utf-8") as opened:
            opened.write(issued.secret + "\n")
    record = issued.record
    where = "is shown this once" if request.output is None else f"was written to {request.output}"
    print_notice(
        diagnostics(),
        f"token {record.token_id} for {record.name}: {', '.join(record.roles)}, until "
        f"{record.expires_at:%F %R} UTC; its secret {where}",
    )
    return ExitCode.OK


def _wanted(request: TokenIssueRequest) -> TokenRequest:
    roles = tuple(read_choice(Role, role, "--role") for role in request.roles)
    try:
        return TokenRequest(name=request.name, roles=roles, days=request.days)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        raise ConfigError(
            f"no token can be made: {first['loc'][0]}: {first['msg']}; a name has 1 to 64 of "
            "A-Z a-z 0-9 . _ -, and begins with a letter or a digit"
        ) from None


def _new_file(path: Path) -> int:
    try:
        # Created with its mode, not changed to it: at no moment may others read it.
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"--output {path}: {error.strerror}; name a new file") from error


def _issue(request: TokenIssueRequest, wanted: TokenRequest) -> IssuedToken:
    if request.urza is None:
        return with_library(request.folder, lambda library: library.tokens.issue(LOCAL, wanted))
    with bootstrap.library(request.urza) as library:
        return library.issue_token(wanted)
