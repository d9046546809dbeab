"""Settings out of environment variables: `PREFIX_<SETTING>`, or `PREFIX_<SETTING>_FILE`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from esper.contracts.errors import ConfigError
from esper.utils.nearest import did_you_mean


def settings_from(
    environ: Mapping[str, str], prefix: str, config: type, *, foreign: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the settings of a configuration class that variables give.

    Args:
        environ: The variables.
        prefix: What their names begin with.
        config: A dataclass whose fields are numbers or text.
        foreign: Beginnings, after the prefix, of names that are somebody else's.

    Raises:
        ConfigError: An unknown setting, a wrong value, or a file that cannot be read. Values are
            not repeated in the message: they may be secrets.
    """
    kinds = get_type_hints(config)
    found: dict[str, Any] = {}
    for variable in sorted(environ):
        name = variable.removeprefix(prefix)
        if name == variable or name.startswith(foreign):
            continue
        base = name.removesuffix("_FILE")
        setting = base.lower()
        if setting not in kinds:
            hint = did_you_mean(setting, kinds)
            raise ConfigError(f"{variable}: there is no setting {setting!r}. {hint}")
        text = environ[variable] if base == name else _text(variable, environ[variable])
        found[setting] = _parsed(variable, text, kinds[setting])
    return found


def _text(variable: str, name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{variable} names {name!r}, which cannot be read: {problem}") from None


def _parsed(variable: str, text: str, hint: Any) -> Any:
    kinds = get_args(hint) or (hint,)
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(text)
            except ValueError:
                raise ConfigError(f"{variable} must be a number") from None
    return text
