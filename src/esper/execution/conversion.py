"""Turning a layer into a KasminaLayer and back: a change of class, nothing else."""

# a change of class is surgery on nn.Module

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import nn
from torch.nn.parameter import is_lazy

from esper.contracts.errors import ConfigError, RegistryError, UnsupportedLayerError
from esper.execution.host_branch import reference_tensor
from esper.execution.hosts.host_catalog import HOSTS
from esper.execution.hosts.host_registry import (
    clashing_names,
    kasmina_class,
    plain_class,
    supported_hosts,
)
from esper.execution.kasmina_layer import KasminaLayer
from esper.execution.seed import Growth, Seed
from esper.execution.seed_slots import KERNELS
from esper.execution.state_layout import KasminaStateLayout

if TYPE_CHECKING:
    from esper.blueprints.geometry import Geometry


def is_host(module: nn.Module) -> bool:
    """Return whether a layer of this type can host seeds (its place in the model aside)."""
    return any(kind in HOSTS for kind in type(module).__mro__)


def convert(
    module: nn.Module,
    *,
    num_seeds: int = 4,
    name: str = "",
    telemetry: bool = True,
    geometry: Geometry | None = None,
) -> KasminaLayer:
    """Make `module` a KasminaLayer, in place.

    The object, its parameters, buffers, hooks and `state_dict` keys stay; only its class changes.

    Args:
        module: A layer of a registered host type or of a subclass.
        num_seeds: Number of seed slots, at least 1.
        name: Its qualified name in the model, for messages.
        telemetry: Whether health probes measure it.
        geometry: What goes in and out; kernels are checked against it when they are installed.

    Returns:
        `module` itself.

    Raises:
        UnsupportedLayerError: The type is no host, is one already, has not seen its first input yet
            (lazy), or uses a name that a KasminaLayer needs.
        ConfigError: `num_seeds` is below 1.
    """
    if num_seeds < 1:
        raise ConfigError(f"num_seeds of layer '{name}' is {num_seeds}; give at least 1")
    kind = _target_class(module, name)
    try:
        module.__class__ = kind
    except TypeError as error:
        raise UnsupportedLayerError(
            f"layer '{name}' of type {kind.__name__} cannot change its class: {error}"
        ) from error
    layer = cast("KasminaLayer", module)
    like = reference_tensor(layer, keep=KERNELS)
    device = "cpu" if like is None or like.device.type == "meta" else like.device
    layer._esper = Growth(
        name=name,
        seeds=tuple(Seed(index) for index in range(num_seeds)),
        state=KasminaStateLayout(num_seeds, device),
        geometry=geometry if geometry is not None else layer.own_geometry(),
        telemetry=telemetry,
    )
    return layer


def restore(layer: KasminaLayer) -> nn.Module:
    """Give a layer its own class back, in place. The reverse of `convert`.

    Raises:
        UnsupportedLayerError: It holds kernels, or a fossil took its host's place.
    """
    if layer.host_dropped or KERNELS in layer._modules or layer._live:
        raise UnsupportedLayerError(
            f"layer '{layer.name}' has grown and cannot be the plain layer again; cull its kernels, "
            f"or export the model to keep them"
        )
    plain = plain_class(layer)
    del layer._esper
    layer.__class__ = plain  # type: ignore[assignment]  # the very change of class
    return layer


def _target_class(module: nn.Module, name: str) -> type[KasminaLayer]:
    kind = type(module)
    if isinstance(module, KasminaLayer):
        raise UnsupportedLayerError(f"layer '{name}' is a KasminaLayer already: '{module.name}'")
    try:
        target = kasmina_class(kind)
    except RegistryError:
        raise UnsupportedLayerError(
            f"layer '{name}' of type {kind.__name__} cannot host seeds; supported are "
            f"{', '.join(supported_hosts())} and their subclasses. Use register_host for your own"
        ) from None
    if any(is_lazy(p) for p in module.parameters(recurse=False)):
        raise UnsupportedLayerError(
            f"layer '{name}' is lazy and has no weights yet; run the model once, then wrap it"
        )
    clashes = clashing_names(module)
    if clashes:
        raise UnsupportedLayerError(
            f"layer '{name}' of type {kind.__name__} has attributes that a KasminaLayer needs "
            f"itself: {', '.join(clashes)}. Rename them to let it host seeds"
        )
    return target
