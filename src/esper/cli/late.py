"""The one place where the command line imports late.

`esper --help` and shell completion must answer at once, and torch takes seconds to import. So
commands are described in `commands/`, which is light, and carried out in `work/`, which is
imported here by name when a command has been understood. This is also where errors end: each
becomes one line and an exit status.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import typer

from esper.cli.console import diagnostics, print_error
from esper.cli.exit_codes import ExitCode, exit_code_of
from esper.contracts.errors import EsperError
from esper.utils import extras

EXTRAS: Final = {
    "bus": "oona",
    "control": "oona",
    "nissa": "nissa",
    "runs": "nissa",
    "urza": "urza",
    "tezzeret": "tezzeret",
    "up": "platform",
}
"""First word of a work module's name -> the extra that brings all that its command needs."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """What was said before the subcommand."""

    verbose: bool = False
    """Show where an error comes from."""


def carry_out(context: typer.Context, work: str, request: object, *, verbose: bool = False) -> None:
    """Import `esper.cli.work.<work>` and call its `run` with the request.

    Args:
        context: of the command; its object is the `Session`.
        work: name of the module.
        request: the request that this module's `run` takes.
        verbose: show where an error comes from, whatever the session says.

    Raises:
        typer.Exit: with the status that `run` returned, or that of the error it raised.
    """
    session = context.ensure_object(Session)
    status = _guarded(work, request, verbose=verbose or session.verbose)
    if status != ExitCode.OK:
        raise typer.Exit(int(status))


def _guarded(work: str, request: object, *, verbose: bool) -> int:
    console = diagnostics()
    try:
        extra = EXTRAS.get(work.partition("_")[0])
        run: Callable[[object], int] = extras.load(f"esper.cli.work.{work}", extra=extra).run
        return run(request)
    except EsperError as error:
        if verbose:
            traceback.print_exc()
        print_error(console, str(error))
        return exit_code_of(error)
    except KeyboardInterrupt:
        print_error(console, "interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.OK  # whoever read our output has seen enough
    except Exception as error:  # noqa: BLE001 the outermost boundary: report and give a status
        traceback.print_exc()
        print_error(
            console,
            f"{type(error).__name__}: {error}. This is a mistake in Esper, or in code that it was "
            "given; the lines above say where",
        )
        return ExitCode.BUG
