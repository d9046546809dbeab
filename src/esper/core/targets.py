"""Which layers of a model become KasminaLayers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from torch import nn

from esper.contracts.errors import LayerNotFoundError, UnsupportedLayerError
from esper.contracts.site import Site
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
) -> dict[Site, nn.Module]:
    """Return the places to open for kernels and their modules, in model order, each once.

    Args:
        model: The model to search.
        target_layers: Types, and sites' texts or patterns; or None for the defaults.
        filter_fn: `(module, name)`; leaves out layers for which it is false.
        traced: Whether there is an example batch.

    Raises:
        UnsupportedLayerError: A type or name that was given cannot host kernels.
        LayerNotFoundError: A name does not exist, or nothing is left to convert.
    """
    if target_layers is None:
        target_layers = DEFAULT_TYPES_TRACED if traced else DEFAULT_TYPES
    kinds = tuple(target for target in target_layers if isinstance(target, type))
    sites = [Site.of(target) for target in target_layers if not isinstance(target, type)]
    for kind in kinds:
        _check_type(kind)
    unreachable = readable_only(model)
    chosen = {
        Site(name, site.behind)
        for site in sites
        for name in _named_targets(model, site, unreachable)
    }
    found: dict[Site, nn.Module] = {}
    for name, module in model.named_modules():
        is_kind = isinstance(module, kinds) and _can_host(module, name, unreachable)
        for site in (Site(name), Site(name, behind=True)):
            wanted = site in chosen or (is_kind and not site.behind)
            if wanted and (filter_fn is None or filter_fn(module, name)):
                found[site] = module
    if not found:
        raise LayerNotFoundError(_nothing(model, target_layers, filter_fn))
    return found


def _check_type(kind: type[nn.Module]) -> None:
    if not any(ancestor in HOSTS for ancestor in kind.__mro__):
        raise UnsupportedLayerError(
            f"layers of type {kind.__name__} cannot host kernels. Supported are "
            f"{', '.join(supported_hosts())} and their subclasses; use register_host for your own."
        )


def _named_targets(model: nn.Module, site: Site, unreachable: dict[str, str]) -> list[str]:
    """Return the names, first ones of their modules, of what a site or a pattern means."""
    every = dict(model.named_modules(remove_duplicate=False))
    found = [name for name in every if site.matches(name)] if site.is_pattern else [site.module]
    if not set(found) <= set(every) or not found:
        known = [
            name for name, module in every.items() if name and (site.behind or is_host(module))
        ]
        what = "layer of the pattern" if site.is_pattern else "layer"
        raise LayerNotFoundError(
            f"the model has no {what} '{site}'. {did_you_mean(site.module, known)}"
        )
    if not site.behind:
        for name in found:
            _check_named(every[name], name, unreachable)
    first = {module: name for name, module in model.named_modules()}
    return [first[every[name]] for name in found]


def _check_named(module: nn.Module, name: str, unreachable: dict[str, str]) -> None:
    reason = unreachable.get(name)
    if reason is not None:
        raise UnsupportedLayerError(
            f"layer '{name}' cannot host a kernel: {reason}. Target its parent instead."
        )
    if not is_host(module):
        raise UnsupportedLayerError(
            f"layer '{name}' of type {type(module).__name__} cannot host kernels. Supported are "
            f"{', '.join(supported_hosts())} and their subclasses; use register_host for your own, "
            f"or let kernels stand behind it: '{name}+'."
        )


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
