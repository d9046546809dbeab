"""`nn.Conv1d` and `nn.Conv2d` as hosts."""

from __future__ import annotations

from torch import Tensor, nn
from typing_extensions import override

from esper.execution.hosts.host_registry import HOSTS
from esper.execution.kasmina_layer import KasminaLayer


@HOSTS.register(nn.Conv1d)
class KasminaConv1d(KasminaLayer, nn.Conv1d):
    """Kernels map (B, in_channels, L) to (B, out_channels, L'), L' as the host makes it."""

    _batched_dims = 3
    unit_axis = -2

    @override
    def forward(self, input: Tensor) -> Tensor:  # the stock layer's name for it
        if self._live:
            grown: Tensor = self._grown((input,), {})
            return grown
        found: Tensor = self._conv_forward(input, self.weight, self.bias)
        return found

    @override
    def expected_shape(self, x: Tensor) -> tuple[int | None, ...]:
        return (x.shape[0], self.out_channels, *spatial_sizes(self, x))


@HOSTS.register(nn.Conv2d)
class KasminaConv2d(KasminaLayer, nn.Conv2d):
    """Kernels map (B, in_channels, H, W) to (B, out_channels, H', W'), as the host makes them."""

    _batched_dims = 4
    unit_axis = -3

    @override
    def forward(self, input: Tensor) -> Tensor:  # the stock layer's name for it
        if self._live:
            grown: Tensor = self._grown((input,), {})
            return grown
        found: Tensor = self._conv_forward(input, self.weight, self.bias)
        return found

    @override
    def expected_shape(self, x: Tensor) -> tuple[int | None, ...]:
        return (x.shape[0], self.out_channels, *spatial_sizes(self, x))


def spatial_sizes(layer: nn.Conv1d | nn.Conv2d, x: Tensor) -> tuple[int, ...]:
    """Return the sizes of the output's spatial axes for a batched input `x`."""
    # The stock layer keeps the amounts at both ends of each axis, last axis first, for any padding.
    both_ends = layer._reversed_padding_repeated_twice  # the one place that has it
    padding = [low + high for low, high in zip(both_ends[::2], both_ends[1::2], strict=True)]
    return tuple(
        (size + pad - dilation * (window - 1) - 1) // stride + 1
        for size, pad, dilation, window, stride in zip(
            x.shape[2:], padding[::-1], layer.dilation, layer.kernel_size, layer.stride, strict=True
        )
    )
