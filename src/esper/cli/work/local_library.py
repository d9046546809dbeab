"""The library on this machine: its settings, and work on its stores without a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from esper.services.urza.kernel_library import Library
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.clock import SystemClock
from esper.utils.home import data_home

LOCAL: Final = "local"
"""Who the audit log names for the command line on the library's own machine."""

Result = TypeVar("Result")


def settings(
    folder: Path | None, *, host: str | None = None, port: int | None = None
) -> UrzaConfig:
    """The library's settings: the environment's, with what was typed in their place.

    Raises:
        ConfigError: a setting is unknown or wrong.
    """
    config = UrzaConfig.from_environment(os.environ, folder or default_folder())
    if host is not None:
        config = replace(config, host=host)
    return config if port is None else replace(config, port=port)


def default_folder() -> Path:
    """Where an embedded library lies if nobody says otherwise."""
    return data_home() / "urza"


def with_library(folder: Path | None, work: Callable[[Library], Awaitable[Result]]) -> Result:
    """Open the library on this machine, work on it, and close it.

    Raises:
        LibraryUnavailableError: its stores cannot be reached, or are of another version.
    """

    async def opened() -> Result:
        library = await Library.open(settings(folder), SystemClock())
        try:
            return await work(library)
        finally:
            await library.close()

    return asyncio.run(opened())
