"""`nn.Linear` as a host."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from esper.contracts.enums import KernelMode
from esper.execution.hosts.host_registry import HOSTS
from esper.execution.kasmina_layer import KasminaLayer
from esper.execution.linear_algebra import affine_map
from esper.execution.seed import Seed


@HOSTS.register(nn.Linear)
class KasminaLinear(KasminaLayer, nn.Linear):
    """Kernels map (B, ..., in_features) to (B, ..., out_features)."""

    @override
    def forward(self, input: Tensor) -> Tensor:  # the stock layer's name for it
        if self._live:
            found: Tensor = self._grown((input,), {})
            return found
        # The stock one-liner, repeated: a call of `super().forward` costs more than our own test.
        return functional.linear(input, self.weight, self.bias)

    @override
    def expected_shape(self, x: Tensor) -> tuple[int | None, ...]:
        return (*x.shape[:-1], self.out_features)

    @override
    def fold(self, seed: Seed) -> bool:
        """Fold a kernel that is one linear map.

        A replacing `nn.Linear` gives its own parameters to the host, so that its optimizer state
        stays valid; a residual one, or a chain of them, is added to the host's weights.
        """
        kernel = seed.kernel
        # A subclass may do something else with its weights.
        if kernel is None or type(self) is not KasminaLinear:
            return False
        found = affine_map(kernel)
        if found is None:
            return False
        if seed.mode is KernelMode.REPLACING:
            if found.single is None or found.single.weight.shape != self.weight.shape:
                return False
            self.weight, self.bias = found.single.weight, found.single.bias
            return True
        if found.bias is not None and self._parameters["bias"] is None:
            return False
        found.add_to(self, seed.alpha)
        return True
