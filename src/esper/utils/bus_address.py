"""Where the message bus is, as the environment says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from esper.contracts.errors import ConfigError

URL: Final = "ESPER_REDIS_URL"
URL_FILE: Final = "ESPER_REDIS_URL_FILE"


def bus_url(environ: Mapping[str, str]) -> str | None:
    """Return `ESPER_REDIS_URL`, or what the file holds that `ESPER_REDIS_URL_FILE` names.

    Returns:
        The URL of a Redis or Valkey server, password included; None where neither is set.

    Raises:
        ConfigError: Both are set, or the file cannot be read.
    """
    direct, file = environ.get(URL), environ.get(URL_FILE)
    if direct and file:
        raise ConfigError(f"both {URL} and {URL_FILE} are set; keep one")
    if not file:
        return direct or None
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{URL_FILE}: {file} cannot be read: {error}") from error
