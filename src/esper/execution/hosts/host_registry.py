"""Which layer types can host seeds, and what is known of each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from esper.contracts.enums import KernelMode
from esper.contracts.errors import RegistryError, UnsupportedLayerError
from esper.utils.registry import Registry

if TYPE_CHECKING:
    from esper.blueprints.geometry import Geometry
    from esper.execution.kasmina_layer import KasminaLayer

Shape = tuple[int | None, ...]

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


class Host:
    """What has to be known of a layer type whose layers host seeds. It holds no state.

    The defaults serve a layer with one tensor in, its first argument, and one tensor out.
    """

    batched_dims: int | None = None
    """Axes of a batched input, for layers that also take a single sample; None for others."""
    unit_axis: int = -1
    """Axis of the output that counts units: features or channels."""

    def forward(self, plain: type[nn.Module]) -> Callable[..., Any]:
        """Return the `forward` of the class that `plain` becomes."""
        own = plain.forward

        @functools.wraps(own)
        def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
            places = self._esper
            if places.live:
                return places.run(self, args, kwargs)
            return own(self, *args, **kwargs)

        return forward

    def compute(self, host: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what the host alone returns."""
        return host._plain.forward(host, *args, **kwargs)  # type: ignore[union-attr]  # a KasminaHost

    def kernel_input(
        self, layer: KasminaLayer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Tensor:
        """Return the tensor that kernels see, out of the arguments of `forward`."""
        found: Tensor = args[0] if args else next(iter(kwargs.values()))
        return found

    def host_output(self, layer: KasminaLayer, output: Any) -> Tensor:
        """Return the tensor that kernels blend into, out of what the host returned."""
        found: Tensor = output
        return found

    def rejoin(self, layer: KasminaLayer, output: Any, blended: Tensor) -> Any:
        """Return what `forward` is to return.

        Args:
            layer: The layer.
            output: What the host returned, or None if the host was not computed.
            blended: What stands in place of `host_output(output)`.
        """
        return blended

    def expected_shape(self, layer: KasminaLayer, x: Tensor) -> Shape | None:
        """Return the shape that a kernel must return for `x`, batch first; None if not known."""
        geometry = layer.geometry
        return None if geometry is None else (x.shape[0], *geometry.output_shape)

    def batch_axis(self, layer: KasminaLayer) -> int:
        """Return the axis of the batch in the layer's input: 1 in a sequence-first model."""
        return 0 if layer.geometry is None else layer.geometry.batch_axis

    def geometry(self, module: nn.Module) -> Geometry | None:
        """Return what the layer knows of its geometry without an example; None if not enough."""
        return None

    def fold(self, module: nn.Module, kernel: nn.Module, mode: KernelMode, alpha: float) -> bool:
        """Fold a kernel into the host's weights if algebra allows; return whether it did."""
        return False

    def forget_dropped(self, module: nn.Module) -> None:
        """Let go of dropped parameters that the layer keeps a second time."""


HOSTS: Registry[type, Host] = Registry("host layer")
"""Host layer type to what is known of it; a subclass finds its ancestor's."""


def host_type(*kinds: type[nn.Module]) -> Callable[[type[Host]], type[Host]]:
    """Register a `Host` for layer types, as a decorator."""

    def register(host: type[Host]) -> type[Host]:
        for kind in kinds:
            HOSTS.add(kind, host())
        return host

    return register


def supported_hosts() -> list[str]:
    """Return the names of all host layer types, sorted."""
    return sorted(kind.__name__ for kind in HOSTS)


def register_host(
    layer_type: type[nn.Module],
    *,
    geometry: Callable[[Any], Geometry | None] | None = None,
    kernel_input: Callable[[Any, tuple[Any, ...], dict[str, Any]], Tensor] | None = None,
    host_output: Callable[[Any, Any], Tensor] | None = None,
    rejoin: Callable[[Any, Any, Tensor], Any] | None = None,
) -> None:
    """Make a layer type of your own a host, with all its subclasses.

    Args:
        layer_type: Subclass of `nn.Module`; no container.
        geometry: Gives a layer's geometry where no example batch is traced.
        kernel_input: `(layer, args, kwargs)` to the tensor that kernels see; default: the first
            argument.
        host_output: `(layer, output)` to the tensor that kernels blend into; default: the output.
        rejoin: `(layer, output, blended)` to what `forward` returns, `output` being None where the
            host was not computed; default: `blended`.

    Raises:
        RegistryError: The type is registered already.
        UnsupportedLayerError: It is a container, whose children a kernel would become one of.
    """
    if issubclass(layer_type, _CONTAINERS):
        raise UnsupportedLayerError(
            f"{layer_type.__name__} is a container: a kernel would be run as one of its children. "
            f"Register the type of the layers inside"
        )
    if layer_type in HOSTS:
        raise RegistryError(f"the host layer {layer_type.__name__} is registered already")
    HOSTS.add(layer_type, _OwnHost(geometry, kernel_input, host_output, rejoin))


class _OwnHost(Host):
    """A host type described by functions of a user's own, which take the layer itself."""

    def __init__(
        self,
        geometry: Callable[[Any], Geometry | None] | None,
        kernel_input: Callable[[Any, tuple[Any, ...], dict[str, Any]], Tensor] | None,
        host_output: Callable[[Any, Any], Tensor] | None,
        rejoin: Callable[[Any, Any, Tensor], Any] | None,
    ) -> None:
        self._geometry, self._rejoin = geometry, rejoin
        self._kernel_input, self._host_output = kernel_input, host_output

    def kernel_input(
        self, layer: KasminaLayer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Tensor:
        if self._kernel_input is None:
            return super().kernel_input(layer, args, kwargs)
        return self._kernel_input(layer.host, args, kwargs)

    def host_output(self, layer: KasminaLayer, output: Any) -> Tensor:
        if self._host_output is None:
            return super().host_output(layer, output)
        return self._host_output(layer.host, output)

    def rejoin(self, layer: KasminaLayer, output: Any, blended: Tensor) -> Any:
        if self._rejoin is None:
            return blended
        return self._rejoin(layer.host, output, blended)

    def geometry(self, module: nn.Module) -> Geometry | None:
        return None if self._geometry is None else self._geometry(module)
