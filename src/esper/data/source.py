"""Where data lies on this machine: a folder that was named, the cache folder, system packages."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from esper.contracts.errors import ConfigError, DataUnavailableError
from esper.utils import extras
from esper.utils.home import cache_home


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """The folders that a quick-start looks in, in order.

    Downloads and generated data go to ``root`` when it is given, to ``cache`` otherwise.
    """

    root: Path | None
    """Folder named by the user (``--data-dir``), or ``None``."""
    cache: Path
    """The cache folder."""
    system: tuple[Path, ...]
    """Folders where operating-system packages put data sets."""

    @property
    def writable(self) -> Path:
        """Where new files go."""
        return self.root if self.root is not None else self.cache

    def folders(self, name: str) -> Iterator[Path]:
        """Folders that may hold data set ``name``, most specific first."""
        if self.root is not None:
            yield self.root
            yield self.root / name
        yield self.cache / name
        for folder in self.system:
            yield folder / name

    def find(self, name: str, files: tuple[str, ...]) -> Path | None:
        """The first folder that holds every one of ``files``, or ``None``."""
        for folder in self.folders(name):
            if all((folder / file).is_file() for file in files):
                return folder
        return None


def data_source(
    root: Path | str | None = None, environment: Mapping[str, str] = os.environ
) -> DataSource:
    """The folders of this machine.

    The cache folder is ``$ESPER_HOME/data``, or the user's cache folder where ``ESPER_HOME`` is
    not set. System folders are ``datasets`` under each of ``$XDG_DATA_DIRS``.
    """
    shares = environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return DataSource(
        root=Path(root).expanduser() if root is not None else None,
        cache=cache_home(environment) / "data",
        system=tuple(Path(share) / "datasets" for share in shares.split(":") if share),
    )


def require_package(module: str, *, data_set: str) -> ModuleType:
    """Import a module of an optional package that ships or generates a data set.

    Raises:
        DataUnavailableError: the package is not installed; the message says how to install it.
    """
    try:
        return extras.load(module, extra="data")
    except ConfigError as error:
        raise DataUnavailableError(
            f"data set {data_set!r} comes from a package: {error}"
        ) from error
