"""`nn.Linear` as a host: kernels map (B, ..., in_features) to (B, ..., out_features)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from esper.contracts.enums import KernelMode
from esper.execution.hosts.host_registry import Host, Shape, host_type
from esper.execution.linear_algebra import affine_map

if TYPE_CHECKING:
    from esper.execution.kasmina_layer import KasminaLayer


@host_type(nn.Linear)
class LinearHost(Host):
    """What is known of `nn.Linear`."""

    @override
    def forward(self, plain: type[nn.Module]) -> Callable[..., Any]:
        if plain is not nn.Linear:  # a subclass may have a forward of its own
            return super().forward(plain)

        def forward(self: Any, input: Tensor) -> Any:  # the stock layer's name for it
            places = self._esper
            if places.live:
                return places.run(self, (input,), {})
            # The stock one-liner, repeated: to call it would cost more than our own test.
            return functional.linear(input, self.weight, self.bias)

        return forward

    @override
    def expected_shape(self, layer: KasminaLayer, x: Tensor) -> Shape:
        return (*x.shape[:-1], layer.host.out_features)

    @override
    def fold(self, module: nn.Module, kernel: nn.Module, mode: KernelMode, alpha: float) -> bool:
        """Fold a kernel that is one linear map.

        A replacing `nn.Linear` gives its own parameters to the host, so that its optimizer state
        stays valid; a residual one, or a chain of them, is added to the host's weights.
        """
        found = affine_map(kernel)
        if found is None or not isinstance(module, nn.Linear):
            return False
        if mode is KernelMode.REPLACING:
            if found.single is None or found.single.weight.shape != module.weight.shape:
                return False
            module.weight, module.bias = found.single.weight, found.single.bias
            return True
        if found.bias is not None and module._parameters["bias"] is None:
            return False
        found.add_to(module, alpha)
        return True
