"""Data and model by quick-start name, or by ``package.module:factory``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from esper.contracts.errors import ConfigError
from esper.data.bundle import DataBundle
from esper.data.catalog import build_model, load
from esper.data.quick_start import call_factory
from esper.services.tolaria.training_config import TolariaConfig


def load_data(config: TolariaConfig) -> DataBundle:
    """The data set that the config names.

    Raises:
        ConfigError: the factory cannot be imported, or does not return a bundle.
        RegistryError: no quick-start of that name.
        DataError: the data cannot be had.
    """
    if ":" not in config.data:
        return load(config.data, root=config.data_dir, **config.data_args)
    bundle = call_factory(import_factory(config.data), f"data {config.data!r}", **config.data_args)
    if not isinstance(bundle, DataBundle):
        raise ConfigError(
            f"data {config.data!r} returned a {type(bundle).__name__}; it must return an "
            "esper.data.bundle.DataBundle"
        )
    return bundle


def make_model(config: TolariaConfig, bundle: DataBundle) -> nn.Module:
    """The model that the config names, initialised from torch's global generator.

    Raises:
        ConfigError: the factory cannot be imported, does not take an option, or does not return a
            module.
        RegistryError: no quick-start model of that name.
    """
    if config.model is None:
        return _default_model(config, bundle)
    if ":" not in config.model:
        return build_model(config.model, bundle, **config.model_args)
    factory, what = import_factory(config.model), f"model {config.model!r}"
    options: dict[str, Any] = dict(config.model_args)
    if "bundle" in inspect.signature(factory).parameters:
        options["bundle"] = bundle
    model = call_factory(factory, what, **options)
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{what} returned a {type(model).__name__}; it must return an nn.Module")
    return model


def model_name(config: TolariaConfig, bundle: DataBundle) -> str:
    """What to call the model in logs and reports."""
    if config.model is not None:
        return config.model
    name: str = getattr(bundle.model, "__name__", "default model")
    return name.replace("_", "-")


def import_factory(path: str) -> Callable[..., Any]:
    """Import ``package.module:factory``; the working folder is looked in, too.

    Raises:
        ConfigError: the module or the factory does not exist; the message says which.
    """
    module_name, _, name = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:  # a console script, unlike `python -m`, does not look there
        sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{path!r} cannot be imported: there is no module {error.name!r}. Run from the folder "
            "that holds it, or install it"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path!r} is not of the form package.module:factory") from error
    factory = getattr(module, name, None)
    if not callable(factory):
        known = ", ".join(n for n, v in vars(module).items() if callable(v) and n[0] != "_")
        raise ConfigError(f"{module_name} has no function {name!r}; it has: {known or 'none'}")
    found: Callable[..., Any] = factory
    return found


def _default_model(config: TolariaConfig, bundle: DataBundle) -> nn.Module:
    factory: Callable[..., nn.Module] = bundle.model
    return call_factory(factory, f"the default model of {bundle.name!r}", **config.model_args)
