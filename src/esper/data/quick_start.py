"""The two registries that quick-start files write themselves into: data sets, and host models."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from esper.data.bundle import DataBundle
from esper.utils.registry import Registry

Loader = Callable[..., DataBundle]
"""``loader(source, **options)``: a bundle, or :class:`~esper.contracts.errors.DataError`."""

ModelFactory = Callable[..., nn.Module]
"""``factory(bundle, **options)``: a freshly initialised host for ``bundle``."""

DATA_SETS: Registry[str, Loader] = Registry("data set")
MODELS: Registry[str, ModelFactory] = Registry("model")
