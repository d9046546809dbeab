"""Quick-starts: the registries that their files write themselves into, and calling what is there."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from esper.contracts.errors import ConfigError
from esper.data.bundle import DataBundle
from esper.utils.nearest import did_you_mean
from esper.utils.registry import Registry

T = TypeVar("T")

Loader = Callable[..., DataBundle]
"""``loader(source, **options)``: a bundle, or :class:`~esper.contracts.errors.DataError`."""

ModelFactory = Callable[..., nn.Module]
"""``factory(**options)``: a freshly initialised host; a bundle's ``geometry`` is among the options."""

DATA_SETS: Registry[str, Loader] = Registry("data set")
MODELS: Registry[str, ModelFactory] = Registry("model")


def call_factory(factory: Callable[..., T], what: str, *arguments: Any, **options: Any) -> T:
    """``factory(*arguments, **options)``.

    Raises:
        ConfigError: ``factory`` does not take an option, or misses one; the message names
            ``what``, the option, and the ones it takes.
    """
    signature = inspect.signature(factory)
    free = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    taken = [
        name
        for position, (name, p) in enumerate(signature.parameters.items())
        if position >= len(arguments) and p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}
    ]
    for option in options:
        if option not in taken and not free:
            raise ConfigError(f"{what} takes no option {option!r}. {did_you_mean(option, taken)}")
    try:
        signature.bind(*arguments, **options)
    except TypeError as error:
        raise ConfigError(f"{what} cannot be called: {error}. It takes {signature}") from error
    return factory(*arguments, **options)
