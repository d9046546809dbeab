"""KasminaHost: the class that a layer of a model gets to host seeds.

It gets one private attribute with it, `_esper`: its `KasminaLayer`. No other name is added, so that a
layer type may use any of its own::

    nn.Linear ─ convert ─▶ KasminaLinear(KasminaHost, nn.Linear)
                             forward: kernels at work?  no: nn.Linear's own
                                                        yes: `_esper` blends host and kernels
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from esper.contracts.errors import UnsupportedLayerError
from esper.execution.hosts.host_catalog import HOSTS

if TYPE_CHECKING:
    from esper.execution.kasmina_layer import KasminaLayer


_MADE: dict[type[nn.Module], type[KasminaHost]] = {}


class KasminaHost(nn.Module):
    """A layer that hosts seeds: its own class behind this one. Made by `kasmina_class`."""

    _esper: KasminaLayer
    _plain: type[nn.Module]
    """Set on each class that is made."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._esper.follow(fn)
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle by the plain class: that of this object was made at run time and has no name."""
        made: Any = super().__reduce_ex__(protocol)
        if made[0] is not copyreg.__newobj__:  # type: ignore[attr-defined]  # private, but the protocol
            raise UnsupportedLayerError(
                f"{self._plain.__name__} pickles itself in a way of its own; restore the layer first"
            )
        return (_rebuild, (self._plain,), *made[2:])


def kasmina_class(plain: type[nn.Module]) -> type[KasminaHost]:
    """Return the class that layers of type `plain` become when they host seeds.

    Raises:
        RegistryError: No ancestor of `plain` is a host type.
    """
    if plain not in _MADE:
        forward = HOSTS.lookup_type(plain).forward(plain)
        body = {
            "__module__": __name__,
            "__doc__": plain.__doc__,
            "_plain": plain,
            "forward": forward,
        }
        _MADE[plain] = type(f"Kasmina{plain.__name__}", (KasminaHost, plain), body)
    return _MADE[plain]


def plain_class(module: nn.Module) -> type[nn.Module]:
    """Return the class that a layer had before it was converted; of any other, its own."""
    return module._plain if isinstance(module, KasminaHost) else type(module)


def _rebuild(plain: type[nn.Module]) -> KasminaHost:
    kind = kasmina_class(plain)
    return kind.__new__(kind)
