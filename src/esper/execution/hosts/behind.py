"""The place behind a module of any type: kernels map what it returns, and are added to that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from typing_extensions import override

from esper.contracts.errors import KernelMismatchError
from esper.execution.hosts.host_registry import Host, Shape

if TYPE_CHECKING:
    from esper.execution.kasmina_layer import KasminaLayer


class Behind(Host):
    """What is known of the place behind a module: it is called with what that returned."""

    @override
    def compute(self, host: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the output as it is: nothing stands here but kernels."""
        return args[0]

    @override
    def kernel_input(
        self, layer: KasminaLayer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Tensor:
        """Return what the module returned.

        Raises:
            KernelMismatchError: It is no tensor.
        """
        output = args[0]
        if not isinstance(output, Tensor):
            raise KernelMismatchError(
                f"the module before '{layer.name}' returned a {type(output).__name__}, and kernels "
                f"can stand behind a module that returns one tensor only; cull them"
            )
        return output

    @override
    def expected_shape(self, layer: KasminaLayer, x: Tensor) -> Shape:
        return tuple(x.shape)


BEHIND = Behind()
