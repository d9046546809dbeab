"""Turning a layer into one that hosts seeds and back: a change of class, nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from esper.contracts.errors import ConfigError, UnsupportedLayerError
from esper.execution.host_branch import reference_tensor
from esper.execution.hosts.behind import BEHIND
from esper.execution.hosts.host_registry import supported_hosts
from esper.execution.kasmina_host import (
    KasminaHost,
    Places,
    host_of,
    kasmina_class,
    plain_class,
)
from esper.execution.kasmina_layer import KasminaLayer, layers_of

if TYPE_CHECKING:
    from esper.blueprints.geometry import Geometry


def is_host(module: nn.Module) -> bool:
    """Return whether a layer of this type can host seeds (its place in the model aside)."""
    return host_of(type(module)) is not None


def convert(
    module: nn.Module,
    *,
    num_seeds: int = 4,
    name: str = "",
    telemetry: bool = True,
    geometry: Geometry | None = None,
    behind: bool = False,
    like: Tensor | None = None,
) -> KasminaLayer:
    """Let `module` host seeds, in place.

    The object, its parameters, buffers, hooks and `state_dict` keys stay; its class changes, and it
    has one more attribute, `_esper`.

    Args:
        module: A layer of a registered host type or of a subclass; of any type for the place behind
            it. It may be a host already, at its other place.
        num_seeds: Number of seed slots, at least 1.
        name: Text of the site (`contracts.site`), for messages.
        telemetry: Whether health probes measure it.
        geometry: What goes in and out; kernels are checked against it when they are installed.
        behind: Whether kernels are to stand behind it, on its output, rather than in it.
        like: A tensor with the device and dtype of kernels, for a module without any of its own.

    Returns:
        What governs its seeds. `host` of it is `module`.

    Raises:
        UnsupportedLayerError: The type is no host, is one already, has not seen its first input yet
            (lazy), or has an attribute `_esper`.
        ConfigError: `num_seeds` is below 1.
    """
    if num_seeds < 1:
        raise ConfigError(f"num_seeds of layer '{name}' is {num_seeds}; give at least 1")
    known = BEHIND if behind else host_of(plain_class(module))
    if known is None:
        raise UnsupportedLayerError(
            f"layer '{name}' of type {type(module).__name__} cannot host seeds; supported are "
            f"{', '.join(supported_hosts())} and their subclasses. Use register_host for your own, "
            f"or let kernels stand behind it: '{name}+'"
        )
    if geometry is None:
        geometry = known.geometry(module)
    host = _as_host(module, name)
    if (host._esper.behind if behind else host._esper.inside) is not None:
        raise UnsupportedLayerError(f"layer '{name}' is a KasminaLayer already")
    found = next((t for t in (reference_tensor(module), like) if t is not None), torch.empty(0))
    layer = KasminaLayer(
        host,
        known,
        name=name,
        num_seeds=num_seeds,
        geometry=geometry,
        telemetry=telemetry,
        like=found,
    )
    if behind:
        host._esper.behind = layer
    else:
        host._esper.inside = layer
    return layer


def restore(module: nn.Module) -> nn.Module:
    """Give a module its own class back, in place. The reverse of `convert`.

    Raises:
        UnsupportedLayerError: It holds kernels, or a fossil took its host's place.
    """
    for layer in layers_of(module):
        if layer.host_dropped or layer.kernels is not None or layer.live:
            raise UnsupportedLayerError(
                f"layer '{layer.name}' has grown and cannot be the plain layer again; cull its "
                f"kernels, or export the model to keep them"
            )
    if isinstance(module, KasminaHost):
        plain = plain_class(module)
        del module._esper
        module.__class__ = plain  # type: ignore[assignment]  # the very change of class
    return module


def _as_host(module: nn.Module, name: str) -> KasminaHost:
    if isinstance(module, KasminaHost):
        return module
    kind = type(module)
    if any(is_lazy(p) for p in module.parameters()):
        raise UnsupportedLayerError(
            f"layer '{name}' is lazy and has no weights yet; run the model once, then wrap it"
        )
    if any(
        getattr(kind, way) is not getattr(object, way) for way in ("__reduce__", "__reduce_ex__")
    ):
        raise UnsupportedLayerError(
            f"layer '{name}' of type {kind.__name__} pickles itself in a way of its own, so a race "
            f"could not copy it with kernels at it. Name a layer in it, or leave it out"
        )
    if hasattr(module, "_esper"):
        raise UnsupportedLayerError(
            f"layer '{name}' of type {kind.__name__} has an attribute '_esper', where its "
            f"KasminaLayer is to be kept. Rename it to let the layer host seeds"
        )
    try:
        module.__class__ = kasmina_class(kind)
    except TypeError as error:
        raise UnsupportedLayerError(
            f"layer '{name}' of type {kind.__name__} cannot change its class: {error}"
        ) from error
    assert isinstance(module, KasminaHost)
    module._esper = Places()
    return module
