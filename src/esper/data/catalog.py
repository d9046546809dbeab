"""The quick-starts by name: their data sets, and their host models."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

from torch import nn

from esper.data import cifar as _cifar  # noqa: F401 - registers
from esper.data import fashion_mnist as _fashion_mnist  # noqa: F401 - registers
from esper.data import mnist1d as _mnist1d  # noqa: F401 - registers
from esper.data import scikit as _scikit  # noqa: F401 - registers
from esper.data import text as _text  # noqa: F401 - registers
from esper.data.bundle import DataBundle
from esper.data.quick_start import DATA_SETS, MODELS, call_factory
from esper.data.source import DataSource, data_source


def data_set_names() -> tuple[str, ...]:
    """Names that :func:`load` knows, sorted."""
    return tuple(sorted(DATA_SETS))


def load(
    name: str,
    *,
    root: Path | str | None = None,
    source: DataSource | None = None,
    **options: Any,
) -> DataBundle:
    """Load a quick-start's data set; nothing else is ever put in its place.

    Args:
        name: one of :func:`data_set_names`.
        root: folder to look in first and to download into (``--data-dir``).
        source: the folders to look in, instead of this machine's.
        options: what the data set takes, for example ``path=`` of ``text``.

    Raises:
        RegistryError: unknown name; the message lists the known ones.
        ConfigError: the data set does not take an option.
        DataUnavailableError: the data is not here and cannot be fetched.
        ChecksumError: a file is not the published one.
        DataError: a file is damaged.
    """
    loader = DATA_SETS.lookup(name)
    folders = source if source is not None else data_source(root)
    return call_factory(loader, f"data set {name!r}", folders, **options)


def build_model(name: str, bundle: DataBundle, **options: Any) -> nn.Module:
    """Build a quick-start's model, freshly initialised from torch's global generator.

    Raises:
        RegistryError: unknown name; the message lists the known ones.
        ConfigError: the model does not take an option.
    """
    factory = MODELS.lookup(name)
    taken = signature(factory).parameters
    known = {key: value for key, value in bundle.geometry.items() if key in taken}
    return call_factory(factory, f"model {name!r}", **{**known, **options})
