"""Turning a layer into one that hosts seeds and back: a change of class, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn.parameter import is_lazy

from esper.contracts.errors import ConfigError, RegistryError, UnsupportedLayerError
from esper.execution.hosts.host_registry import HOSTS, supported_hosts
from esper.execution.kasmina_host import KasminaHost, kasmina_class, plain_class
from esper.execution.kasmina_layer import KasminaLayer

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
    """Let `module` host seeds, in place.

    The object, its parameters, buffers, hooks and `state_dict` keys stay; its class changes, and it
    has one more attribute, `_esper`.

    Args:
        module: A layer of a registered host type or of a subclass.
        num_seeds: Number of seed slots, at least 1.
        name: Its qualified name in the model, for messages.
        telemetry: Whether health probes measure it.
        geometry: What goes in and out; kernels are checked against it when they are installed.

    Returns:
        What governs its seeds. `host` of it is `module`.

    Raises:
        UnsupportedLayerError: The type is no host, is one already, has not seen its first input yet
            (lazy), or has an attribute `_esper`.
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
    known = HOSTS.lookup_type(plain_class(module))
    layer = KasminaLayer(
        module,
        known,
        name=name,
        num_seeds=num_seeds,
        geometry=geometry if geometry is not None else known.geometry(module),
        telemetry=telemetry,
    )
    module._esper = layer  # type: ignore[assignment]  # a module by its new class
    return layer


def restore(layer: KasminaLayer) -> nn.Module:
    """Give a layer its own class back, in place. The reverse of `convert`.

    Raises:
        UnsupportedLayerError: It holds kernels, or a fossil took its host's place.
    """
    if layer.host_dropped or layer.kernels is not None or layer.live:
        raise UnsupportedLayerError(
            f"layer '{layer.name}' has grown and cannot be the plain layer again; cull its kernels, "
            f"or export the model to keep them"
        )
    module = layer.host
    plain = plain_class(module)
    del module._esper
    module.__class__ = plain
    return module


def _target_class(module: nn.Module, name: str) -> type[KasminaHost]:
    kind = type(module)
    if isinstance(module, KasminaHost):
        raise UnsupportedLayerError(
            f"layer '{name}' is a KasminaLayer already: '{module._esper.name}'"
        )
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
    if hasattr(module, "_esper"):
        raise UnsupportedLayerError(
            f"layer '{name}' of type {kind.__name__} has an attribute '_esper', where its "
            f"KasminaLayer is to be kept. Rename it to let the layer host seeds"
        )
    return target
