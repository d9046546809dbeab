"""KasminaHost: the class that a module of a model gets so that kernels can stand in it or behind it.

It gets one private attribute with it, `_esper`: the `Places` where kernels can stand. No other name is
added, so that a layer type may use any of its own::

    nn.Linear ─ convert ─▶ KasminaLinear(KasminaHost, nn.Linear)
                             forward: kernels at work?  no: nn.Linear's own
                                                        yes: those in it, then those behind it
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from esper.contracts.errors import UnsupportedLayerError
from esper.execution.hosts.host_catalog import HOSTS
from esper.execution.hosts.host_registry import Host

if TYPE_CHECKING:
    from esper.execution.kasmina_layer import KasminaLayer


def keep_off_fused_path(*_: Any) -> None:
    """Do nothing: as a forward hook, keep the parent off its fused inference path."""


class Places:
    """The places at one module where kernels can stand: in it, and behind it."""

    def __init__(self) -> None:
        self.inside: KasminaLayer | None = None
        self.behind: KasminaLayer | None = None
        self.live = False
        """Whether a kernel is at work at one of them."""

    def layers(self) -> list[KasminaLayer]:
        """What governs the places that there are."""
        return [layer for layer in (self.inside, self.behind) if layer is not None]

    def refresh(self, host: KasminaHost) -> None:
        """Look again whether a kernel is at work, and leave no trace in `host` if none is."""
        self.live = any(layer.live for layer in self.layers())
        hooks = host._forward_hooks
        present = [key for key, hook in hooks.items() if hook is keep_off_fused_path]
        if self.live and not present:
            host.register_forward_hook(keep_off_fused_path)
        for key in present if not self.live else ():
            del hooks[key]

    def run(self, host: KasminaHost, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what `host`, the module or a replica of it, returns with the kernels at work."""
        inside, behind = self.inside, self.behind
        if inside is not None and inside.live:
            output = inside.run(host, args, kwargs)
        else:
            output = host._plain.forward(host, *args, **kwargs)
        if behind is None or not behind.live:
            return output
        return behind.run(host, (output,), {})


class KasminaHost(nn.Module):
    """A module at which kernels can stand: its own class behind this one. See `kasmina_class`."""

    _esper: Places
    _plain: type[nn.Module]
    """Set on each class that is made."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for layer in self._esper.layers():
            layer.follow(fn)
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle by the plain class: that of this object was made at run time and has no name."""
        made: Any = super().__reduce_ex__(protocol)
        return (_rebuild, (self._plain,), *made[2:])


_ANY = Host()
_MADE: dict[type[nn.Module], type[KasminaHost]] = {}


def kasmina_class(plain: type[nn.Module]) -> type[KasminaHost]:
    """Return the class that modules of type `plain` become when kernels can stand at them."""
    if plain not in _MADE:
        forward = (host_of(plain) or _ANY).forward(plain)
        body = {
            "__module__": __name__,
            "__doc__": plain.__doc__,
            "_plain": plain,
            "forward": forward,
        }
        _MADE[plain] = type(f"Kasmina{plain.__name__}", (KasminaHost, plain), body)
    return _MADE[plain]


def host_of(plain: type[nn.Module]) -> Host | None:
    """Return what is known of a layer type; None where kernels can only stand behind it."""
    return next((HOSTS[kind] for kind in plain.__mro__ if kind in HOSTS), None)


def plain_class(module: nn.Module) -> type[nn.Module]:
    """Return the class that a module had before it was converted; of any other, its own."""
    return module._plain if isinstance(module, KasminaHost) else type(module)


def named_arguments(module: nn.Module, name: str) -> list[inspect.Parameter]:
    """Return the arguments of the `forward` of module `name`, which a graph has to name.

    Raises:
        UnsupportedLayerError: It takes `*args` or `**kwargs`.
    """
    kind = plain_class(module)
    parameters = list(inspect.signature(kind.forward).parameters.values())[1:]
    for parameter in parameters:
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise UnsupportedLayerError(
                f"layer '{name}' cannot be exported with a kernel at it: the forward of "
                f"{kind.__name__} takes '{parameter}', and a graph needs named arguments. Give "
                f"{kind.__name__}.forward explicit arguments."
            )
    return parameters


def _rebuild(plain: type[nn.Module]) -> KasminaHost:
    kind = kasmina_class(plain)
    return kind.__new__(kind)
