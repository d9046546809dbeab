"""Environment variables: settings out of them, and references to them in configuration values.

A setting is `PREFIX_<SETTING>`, or `PREFIX_<SETTING>_FILE`. In a value, `${NAME}` stands for the
variable NAME, `${NAME:-default}` for its value or, where it is unset or empty, for the default.
`$${` is a literal `${`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from pydantic import JsonValue

from esper.contracts.errors import ConfigError
from esper.utils.nearest import did_you_mean
from esper.utils.plain_file import read_plain

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<body>[^}]*)\}?")
_BODY = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)


def substitute(value: JsonValue, environ: Mapping[str, str], *, path: str = "") -> JsonValue:
    """Return `value` with every reference in its strings replaced, however deep they stand.

    Args:
        value: What YAML or JSON gave: scalars, lists and dictionaries.
        environ: The variables.
        path: Where `value` stands in the configuration, for error messages.

    Raises:
        ConfigError: Variables are missing or references malformed. The message has one line for
            each, with the key path and the variable's name.
    """
    filled = _Filled(environ)
    result = filled.value(value, path)
    if filled.problems:
        raise ConfigError("\n".join(filled.problems))
    return result


class _Filled:
    """Values with their references replaced, and what was wrong with some."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def value(self, value: JsonValue, path: str) -> JsonValue:
        if isinstance(value, str):
            return _REFERENCE.sub(lambda found: self._reference(found, path), value)
        if isinstance(value, dict):
            prefix = f"{path}." if path else ""
            return {key: self.value(entry, f"{prefix}{key}") for key, entry in value.items()}
        if isinstance(value, list):
            return [self.value(entry, f"{path}[{index}]") for index, entry in enumerate(value)]
        return value

    def _reference(self, found: re.Match[str], path: str) -> str:
        if found["body"] is None:
            return "${"
        body = _BODY.fullmatch(found["body"])
        if body is None or not found[0].endswith("}"):
            self.problems.append(
                f"{path}: {found[0]!r} is not a reference to an environment variable. "
                "Write ${NAME} or ${NAME:-default}, and $${ for a literal ${."
            )
            return ""
        name, default = body["name"], body["default"]
        if default is None and name not in self._environ:
            self.problems.append(
                f"{path}: the environment variable {name} is not set. "
                f"Set it, or give a default: ${{{name}:-value}}."
            )
        return self._environ.get(name, "") or default or ""


_MOST_SECRET: Final = 2**16
"""Bytes of a file that a variable names."""
_WORDS: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def settings_from(
    environ: Mapping[str, str],
    prefix: str,
    config: type,
    *,
    groups: Mapping[str, type] | None = None,
    foreign: Collection[str] = (),
) -> dict[str, Any]:
    """Return the settings of a configuration class that variables give.

    Args:
        environ: The variables.
        prefix: What their names begin with.
        config: A dataclass whose fields are numbers, text or true/false.
        groups: Further such classes by the field that holds one; its name begins theirs
            (`PREFIX_S3_REGION`). A group of which anything is given is a dictionary in the result.
        foreign: Names, after the prefix, that are somebody else's.

    Raises:
        ConfigError: An unknown setting, a wrong value, or a file that cannot be read. Values are
            not repeated in the message: they may be secrets.
    """
    hints = get_type_hints(config)
    kinds = {name: ("", name, hint) for name, hint in hints.items() if name not in (groups or {})}
    for group, owner in (groups or {}).items():
        hints = get_type_hints(owner)
        kinds |= {f"{group}_{name}": (group, name, hint) for name, hint in hints.items()}
    found: dict[str, Any] = {}
    for variable in sorted(environ):
        name = variable.removeprefix(prefix)
        base = name.removesuffix("_FILE")
        if name == variable or base in foreign:
            continue
        if base.lower() not in kinds:
            hint = did_you_mean(base.lower(), kinds)
            raise ConfigError(f"{variable}: there is no setting {base.lower()!r}. {hint}")
        text = environ[variable] if base == name else _text(variable, environ[variable])
        group, field, kind = kinds[base.lower()]
        place = found.setdefault(group, {}) if group else found
        place[field] = _parsed(variable, text, kind)
    return found


def secret_from(environ: Mapping[str, str], name: str) -> str | None:
    """Return what a variable holds, or the file that `<name>_FILE` names; None where neither is set.

    Raises:
        ConfigError: Both are set, or the file cannot be read.
    """
    direct, file = environ.get(name), environ.get(f"{name}_FILE")
    if direct and file:
        raise ConfigError(f"both {name} and {name}_FILE are set; keep one")
    return (_text(f"{name}_FILE", file) if file else direct) or None


def _text(variable: str, name: str) -> str:
    try:
        return read_plain(Path(name), _MOST_SECRET, pipes=True).decode().strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{variable} names {name!r}, which cannot be read: {problem}") from None


def _parsed(variable: str, text: str, hint: Any) -> Any:
    kinds = get_args(hint) or (hint,)
    if bool in kinds:
        if text.lower() not in _WORDS:
            raise ConfigError(f"{variable} must be true or false")
        return _WORDS[text.lower()]
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                raise ConfigError(f"{variable} must be a number") from None
    return text
