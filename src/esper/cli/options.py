"""Options that commands share, and choices as they are typed."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError

from esper.contracts.errors import ConfigError
from esper.utils.nearest import did_you_mean

Choice = TypeVar("Choice", bound=StrEnum)

_library = partial(typer.Option, rich_help_panel="Which library")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Most entries.")]
Address = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on; default: 127.0.0.1.")
]
Redis = Annotated[
    str | None,
    typer.Option(
        "--redis",
        metavar="URL",
        help="The bus, as redis:// or valkey://; default: $ESPER_REDIS_URL, what the file of "
        "$ESPER_REDIS_URL_FILE holds, or the platform that runs here.",
    ),
]
Urza = Annotated[
    str | None,
    _library(
        "--urza",
        metavar="URL",
        help="Address of the library; default: $ESPER_URZA_URL. The token is taken from "
        "$ESPER_URZA_TOKEN, or from the file that $ESPER_URZA_TOKEN_FILE names.",
    ),
]
Remote = Annotated[
    str | None,
    _library(
        "--urza",
        metavar="URL",
        help="Ask the library at this address (an admin's token is needed); without it, work on "
        "this machine's own.",
    ),
]
Folder = Annotated[
    Path | None,
    _library(
        "--folder",
        metavar="DIR",
        help="Where an embedded library lies; default: $ESPER_HOME/urza, or urza in the user's "
        "data folder. $ESPER_URZA_DATABASE_URL and $ESPER_URZA_BLOBS name other places.",
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Run store, sqlite:///<file> or postgresql://…; default: $ESPER_RUN_STORE, that of "
        "the platform that runs here, or your own.",
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="NAME=VALUE", help="Label; may be given more than once."),
]
Trust = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE", help="Public key; with any of these, one of them must have signed."
    ),
]


def read_choice(kind: type[Choice], text: str, option: str) -> Choice:
    """A member of an enumeration by its word.

    Raises:
        ConfigError: there is no such word.
    """
    try:
        return kind(text)
    except ValueError:
        known = [member.value for member in kind]
        raise ConfigError(
            f"{option} {text!r} is none of {', '.join(known)}. {did_you_mean(text, known)}"
        ) from None


def read_optional(kind: type[Choice], text: str | None, option: str) -> Choice | None:
    """What `read_choice` returns; None where nothing was typed."""
    return None if text is None else read_choice(kind, text, option)


def read_tags(tags: Sequence[str] | None) -> dict[str, str]:
    """Labels that were typed as `name=value`.

    Raises:
        ConfigError: one has no value, or stands twice with different ones.
    """
    found: dict[str, str] = {}
    for tag in tags or ():
        name, equals, value = tag.partition("=")
        if not name or not equals:
            raise ConfigError(f"--tag {tag!r}: write NAME=VALUE, like --tag task=mnist1d")
        if found.setdefault(name, value) != value:
            raise ConfigError(f"--tag {name} is given twice, as {found[name]!r} and {value!r}")
    return found


def typed(**options: Any) -> dict[str, Any]:
    """Return the options that were typed."""
    return {name: value for name, value in options.items() if value is not None}


def refuse(why: str, **given: object) -> None:
    """Refuse options that a command would not use.

    Args:
        why: What they do not go with, and what to do.
        given: Options by their names, `_` for `-`, and what was typed; None and False mean that
            it was not.

    Raises:
        ConfigError: one was typed.
    """
    typed = [name for name, value in given.items() if value is not None and value is not False]
    if typed:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in typed)
        raise ConfigError(f"{names}: {why}")


def first_problem(problem: ValidationError) -> str:
    """Where a contract refuses what was typed, and why."""
    first = problem.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place} {first['input']!r:.80}: {first['msg']}"
