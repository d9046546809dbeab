"""Which layers of a model become KasminaLayers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from torch import nn

from esper.contracts.errors import LayerNotFoundError, UnsupportedLayerError
from esper.execution.conversion import is_host
from esper.execution.hosts.host_registry import HOSTS, supported_hosts
from esper.execution.hosts.readable import readable_only
from esper.utils.nearest import did_you_mean

logger = logging.getLogger(__name__)

DEFAULT_TYPES: tuple[type[nn.Module], ...] = (nn.Linear,)
"""What is wrapped by default. Without an example nothing tells how large a picture is."""
DEFAULT_TYPES_TRACED: tuple[type[nn.Module], ...] = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""What is wrapped by default where an example batch shows what goes through the layers."""

Filter = Callable[[nn.Module, str], bool]


def find_targets(
    model: nn.Module,
    target_layers: Sequence[type[nn.Module] | str] | None,
    filter_fn: Filter | None,
    *,
    traced: bool,
) -> dict[str, nn.Module]:
    """Return the layers to convert, by qualified name, in model order, each object once.

    Args:
        model: The model to search.
        target_layers: Types and names, or None for the defaults.
        filter_fn: `(module, name)`; leaves out layers for which it is false.
        traced: Whether there is an example batch.

    Raises:
        UnsupportedLayerError: A type or name that was given cannot host kernels.
        LayerNotFoundError: A name does not exist, or nothing is left to convert.
    """
    if target_layers is None:
        target_layers = DEFAULT_TYPES_TRACED if traced else DEFAULT_TYPES
    kinds = tuple(target for target in target_layers if isinstance(target, type))
    names = [target for target in target_layers if not isinstance(target, type)]
    for kind in kinds:
        _check_type(kind)
    unreachable = readable_only(model)
    chosen = {_named_target(model, name, unreachable) for name in names}
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        if module not in chosen and not (
            isinstance(module, kinds) and _can_host(module, name, unreachable)
        ):
            continue
        if filter_fn is None or filter_fn(module, name):
            found[name] = module
    if not found:
        raise LayerNotFoundError(_nothing(model, target_layers, filter_fn))
    return found


def _check_type(kind: type[nn.Module]) -> None:
    if not any(ancestor in HOSTS for ancestor in kind.__mro__):
        raise UnsupportedLayerError(
            f"layers of type {kind.__name__} cannot host kernels. Supported are "
            f"{', '.join(supported_hosts())} and their subclasses; use register_host for your own."
        )


def _named_target(model: nn.Module, name: str, unreachable: dict[str, str]) -> nn.Module:
    every: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    module = every.get(name)
    if module is None:
        hosts = [known for known, layer in every.items() if known and is_host(layer)]
        raise LayerNotFoundError(f"the model has no layer '{name}'. {did_you_mean(name, hosts)}")
    reason = unreachable.get(name)
    if reason is not None:
        raise UnsupportedLayerError(
            f"layer '{name}' cannot host a kernel: {reason}. Target its parent instead."
        )
    if not is_host(module):
        raise UnsupportedLayerError(
            f"layer '{name}' of type {type(module).__name__} cannot host kernels. Supported are "
            f"{', '.join(supported_hosts())} and their subclasses; use register_host for your own."
        )
    return module


def _can_host(module: nn.Module, name: str, unreachable: dict[str, str]) -> bool:
    if name in unreachable:
        logger.info("layer '%s' is left alone: %s", name, unreachable[name])
        return False
    return True


def _nothing(
    model: nn.Module, target_layers: Sequence[type[nn.Module] | str], filter_fn: Filter | None
) -> str:
    wanted = [target if isinstance(target, str) else target.__name__ for target in target_layers]
    present = sorted({type(module).__name__ for module in model.modules() if is_host(module)})
    filtered = " that filter_fn lets through" if filter_fn is not None else ""
    return (
        f"{type(model).__name__} has no layer of {', '.join(wanted) or 'no type at all'}{filtered}. "
        f"It has layers of {', '.join(present) or 'no type'} that can host kernels: "
        f"name them in target_layers."
    )
