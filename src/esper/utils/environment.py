"""Putting environment variables into configuration values.

`${NAME}` stands for the variable NAME, `${NAME:-default}` for its value or, where it is unset
or empty, for the default. `$${` is a literal `${`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import JsonValue

from esper.contracts.errors import ConfigError

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
    problems: list[str] = []
    result = _walk(value, environ, path, problems)
    if problems:
        raise ConfigError("\n".join(problems))
    return result


def _walk(
    value: JsonValue, environ: Mapping[str, str], path: str, problems: list[str]
) -> JsonValue:
    if isinstance(value, str):
        return _fill(value, environ, path, problems)
    if isinstance(value, dict):
        prefix = f"{path}." if path else ""
        return {
            key: _walk(entry, environ, f"{prefix}{key}", problems) for key, entry in value.items()
        }
    if isinstance(value, list):
        return [
            _walk(entry, environ, f"{path}[{index}]", problems) for index, entry in enumerate(value)
        ]
    return value


def _fill(text: str, environ: Mapping[str, str], path: str, problems: list[str]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match["body"] is None:
            return "${"
        body = _BODY.fullmatch(match["body"])
        if body is None or not match[0].endswith("}"):
            problems.append(
                f"{path}: {match[0]!r} is not a reference to an environment variable. "
                "Write ${NAME} or ${NAME:-default}, and $${ for a literal ${."
            )
            return ""
        return _resolve(body, environ, path, problems)

    return _REFERENCE.sub(replace, text)


def _resolve(
    body: re.Match[str], environ: Mapping[str, str], path: str, problems: list[str]
) -> str:
    name, default = body["name"], body["default"]
    value = environ.get(name)
    if default is not None:
        return value or default
    if value is None:
        problems.append(
            f"{path}: the environment variable {name} is not set. "
            f"Set it, or give a default: ${{{name}:-value}}."
        )
        return ""
    return value
