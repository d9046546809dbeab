"""Which layer types can host seeds, and the class that each becomes."""

# the names that nn.Module keeps privately are looked at

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from esper.contracts.errors import RegistryError, UnsupportedLayerError
from esper.execution.kasmina_layer import KasminaLayer
from esper.execution.seed_slots import SeedSlots
from esper.utils.registry import Registry

if TYPE_CHECKING:
    from esper.blueprints.geometry import Geometry

HOSTS: Registry[type, type[KasminaLayer]] = Registry("host layer")
"""Host layer type to its KasminaLayer; a subclass finds its ancestor's."""

_MADE: dict[type, type[KasminaLayer]] = {}
"""Classes made on the spot, one for each subclass of a host type."""

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


def supported_hosts() -> list[str]:
    """Return the names of all host layer types, sorted."""
    return sorted(kind.__name__ for kind in HOSTS)


def register_host(
    host_type: type[nn.Module],
    *,
    geometry: Callable[[Any], Geometry | None] | None = None,
    kernel_input: Callable[[Any, tuple[Any, ...], dict[str, Any]], Tensor] | None = None,
    host_output: Callable[[Any, Any], Tensor] | None = None,
    rejoin: Callable[[Any, Any, Tensor], Any] | None = None,
) -> type[KasminaLayer]:
    """Make a layer type of your own a host, with all its subclasses.

    Args:
        host_type: Subclass of `nn.Module`; no container.
        geometry: Gives a layer's geometry where no example batch is traced.
        kernel_input: `(layer, args, kwargs)` to the tensor that kernels see; default: the first
            argument.
        host_output: `(layer, output)` to the tensor that kernels blend into; default: the output.
        rejoin: `(layer, output, blended)` to what `forward` returns, `output` being None where the
            host was not computed; default: `blended`.

    Returns:
        The class that layers of this type become.

    Raises:
        RegistryError: The type is registered already.
        UnsupportedLayerError: It is a container, whose children a kernel would become one of.
    """
    if issubclass(host_type, _CONTAINERS):
        raise UnsupportedLayerError(
            f"{host_type.__name__} is a container: a kernel would be run as one of its children. "
            f"Register the type of the layers inside"
        )
    if host_type in HOSTS:
        raise RegistryError(f"the host layer {host_type.__name__} is registered already")
    body: dict[str, Any] = {"__module__": __name__, "__reduce_ex__": _reduce, "_plain": host_type}
    given = {"kernel_input": kernel_input, "host_output": host_output, "rejoin": rejoin}
    body |= {name: hook for name, hook in given.items() if hook is not None}
    if geometry is not None:
        body["own_geometry"] = geometry
    made = type(f"Kasmina{host_type.__name__}", (KasminaLayer, host_type), body)
    HOSTS.add(host_type, made)
    return made


def kasmina_class(plain: type) -> type[KasminaLayer]:
    """Return the KasminaLayer class for `plain`, made on the spot for a subclass of a host type.

    Raises:
        RegistryError: No ancestor of `plain` is a host type.
    """
    host = HOSTS.lookup_type(plain)
    if plain in HOSTS:
        return host
    if plain in _MADE:
        return _MADE[plain]
    body = {
        "__module__": __name__,
        "__reduce_ex__": _reduce,
        "_plain": plain,
        # The subclass may have its own forward: run that, not the stock one that `host` inlines.
        "forward": KasminaLayer.forward,
    }
    _MADE[plain] = type(f"Kasmina{plain.__name__}", (host, plain), body)
    return _MADE[plain]


def plain_class(layer: KasminaLayer) -> type[nn.Module]:
    """Return the class that the layer had before it was converted."""
    made = layer.__dict__.get("_plain") or getattr(type(layer), "_plain", None)
    if made is not None:
        found: type[nn.Module] = made
        return found
    kind = type(layer)
    return next(plain for plain, host in HOSTS.items() if host is kind)


def clashing_names(module: nn.Module) -> list[str]:
    """Return the names that the module uses itself and a KasminaLayer would take over, sorted."""
    ours = {
        name
        for kind in (KasminaLayer, SeedSlots)
        for name in vars(kind)
        if not name.startswith("__") and not hasattr(nn.Module, name)
    }
    theirs = {*vars(module), *module._parameters, *module._buffers, *module._modules}
    for kind in type(module).__mro__:
        if kind is nn.Module:
            break
        theirs |= set(vars(kind))
    return sorted(ours & theirs)


def _rebuild(plain: type[nn.Module]) -> KasminaLayer:
    kind = kasmina_class(plain)
    return kind.__new__(kind)


def _reduce(self: KasminaLayer, protocol: Any) -> Any:
    """Pickle by the plain class: the class of this object was made at run time and has no name."""
    made = nn.Module.__reduce_ex__(self, protocol)
    if made[0] is not copyreg.__newobj__:  # type: ignore[attr-defined]  # private, but the protocol
        raise UnsupportedLayerError(
            f"{type(self).__name__} pickles itself in a way of its own; restore the layer first"
        )
    return (_rebuild, (type(self)._plain,), *made[2:])  # type: ignore[attr-defined]  # set when made
