"""Nouns: how a command is declared, and where its errors end.

    NOUN = Noun(is_group=True, extra="oona")

    @NOUN.command("replay", "esper bus replay events.seed --limit 5")
    async def replay(*, topic: Topic, limit: int = 100, redis: Redis = None) -> int | None:
        '''Show what a topic still holds.

        Options:
            limit: Most messages.
        '''

The function, plain or a coroutine, does the work and returns the exit status; None is success. An
`EsperError` that it raises becomes one line and its exit status. Its docstring is the command's
help, and in its `Options` that of the options; those that commands share bring theirs along.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Coroutine, Mapping
from copy import copy
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from esper.cli.console import diagnostics, print_error
from esper.cli.exit_codes import MEANINGS, ExitCode, exit_code_of
from esper.cli.lazy import later
from esper.contracts.errors import EsperError
from esper.utils import extras

with later():
    import asyncio

Body = Callable[..., int | Coroutine[Any, Any, int | None] | None]
Function = TypeVar("Function", bound=Body)


class Noun:
    """What is said after `esper`: a group of commands, or a command by itself.

    Args:
        text: Help of a group within a noun; that of a noun stands in `app.py`.
        is_group: Whether the noun has commands; else its only command is the noun.
        extra: The extra that brings all that its commands need.
    """

    def __init__(
        self, text: str | None = None, *, is_group: bool = False, extra: str | None = None
    ) -> None:
        self.app = typer.Typer(
            help=text, no_args_is_help=True, rich_markup_mode="rich", add_completion=False
        )
        self._extra = extra
        if is_group or text is not None:
            self.app.callback()(lambda: None)  # though it had one command only

    def command(self, name: str, *examples: str) -> Callable[[Function], Function]:
        """Declare a function as a command; the function stays what it is.

        Args:
            name: Of the command.
            examples: Lines that can be copied, for the end of its help.
        """

        def declared(function: Function) -> Function:
            command = _guarded(function, self._extra)
            epilog = block("Examples", (f"$ {line}" for line in examples))
            self.app.command(name, help=_told(function)[0], epilog=epilog)(command)
            return function

        return declared

    def add(self, name: str, noun: Noun) -> None:
        """Put another group of commands into this one."""
        self.app.add_typer(noun.app, name=name)


def block(title: str, lines: Any) -> str:
    """Lay out indented lines for the end of a help; the leading backspace keeps them apart."""
    shown = (f"  {line}".replace("[", r"\[") for line in lines)
    return "\n".join(["\b", f"[bold]{title}[/bold]", *shown])


def exit_codes() -> str:
    """Lay out the exit codes for the end of the main help."""
    return block("Exit codes", (f"{code.value:>3}  {text}" for code, text in MEANINGS.items()))


def _guarded(function: Body, extra: str | None) -> Callable[..., None]:
    """Give a command the options of its groups, and end its errors in a line and a status.

    A parameter whose type is a dataclass stands for the dataclass's fields, as options.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}

    @wraps(function)
    def command(context: typer.Context, **given: Any) -> None:
        verbose = bool(context.obj) or bool(given.get("verbose"))
        for name, kind in groups.items():
            given[name] = kind(**{field.name: given.pop(field.name) for field in fields(kind)})
        if "context" in hints:
            given["context"] = context
        status = _status(function, given, extra, verbose=verbose)
        if status != ExitCode.OK:
            raise typer.Exit(int(status))

    declared = [inspect.Parameter("context", _ANYWHERE, annotation=typer.Context)]
    for name, parameter in inspect.signature(function).parameters.items():
        if name in groups:
            declared += _options(groups[name], inspect.signature(groups[name]).parameters)
        elif name != "context":
            declared += _options(function, {name: parameter})
    del command.__wrapped__  # its signature is another
    # typer and inspect look for it, mypy does not know that a function may have it.
    command.__signature__ = inspect.Signature(declared)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in declared}
    return command


_ANYWHERE = inspect.Parameter.POSITIONAL_OR_KEYWORD
_BY_NAME = inspect.Parameter.KEYWORD_ONLY


def _options(owner: Any, parameters: Mapping[str, inspect.Parameter]) -> list[inspect.Parameter]:
    """Return parameters with the help that the docstring of a function or a class has for them."""
    hints, helps = get_type_hints(owner, include_extras=True), _told(owner)[1]
    return [
        parameter.replace(annotation=_helped(hints[name], helps.get(name)), kind=_BY_NAME)
        for name, parameter in parameters.items()
    ]


def _helped(kind: Any, text: str | None) -> Any:
    if text is None:
        return kind
    declared, *more = getattr(kind, "__metadata__", (typer.Option(),))
    option = copy(declared)
    option.help = text
    return Annotated[getattr(kind, "__origin__", kind), option, *more]


def _told(owner: Any) -> tuple[str, dict[str, str]]:
    """Return what a docstring says about a command, and about each of its options.

    Lines after the first paragraph stay as they are; a leading backspace tells click so.
    """
    text, _, listed = (inspect.getdoc(owner) or "").partition("\n\nOptions:\n")
    entries = " ".join(listed.split("\n        ")).splitlines()
    parts = (entry.strip().partition(": ") for entry in entries)
    return text.replace("\n\n", "\n\n\b\n"), {name: told for name, _, told in parts}


def _status(
    function: Body,
    given: Mapping[str, Any],
    extra: str | None,
    *,
    verbose: bool,
) -> int:
    console = diagnostics()
    try:
        result = function(**given)
        return (asyncio.run(result) if isinstance(result, Coroutine) else result) or ExitCode.OK
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
        lack = extras.lack(error, extra=extra)
        if lack is not None:
            print_error(console, str(lack))
            return exit_code_of(lack)
        traceback.print_exc()
        print_error(
            console,
            f"{type(error).__name__}: {error}. This is a mistake in Esper, or in code that it was "
            "given; the lines above say where",
        )
        return ExitCode.BUG
