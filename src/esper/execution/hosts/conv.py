"""`nn.Conv1d` and `nn.Conv2d` as hosts.

Kernels map (B, in_channels, L) to (B, out_channels, L') and (B, in_channels, H, W) to
(B, out_channels, H', W'), L', H' and W' as the host makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from typing_extensions import override

from esper.execution.hosts.host_registry import Host, Shape, host_type

if TYPE_CHECKING:
    from esper.execution.kasmina_layer import KasminaLayer


class _ConvolutionHost(Host):
    """What the convolutions have in common."""

    @override
    def forward(self, plain: type[nn.Module]) -> Callable[..., Any]:
        if plain not in {nn.Conv1d, nn.Conv2d}:  # a subclass may have a forward of its own
            return super().forward(plain)

        def forward(self: Any, input: Tensor) -> Any:  # the stock layer's name for it
            places = self._esper
            if places.live:
                return places.run(self, (input,), {})
            return self._conv_forward(input, self.weight, self.bias)

        return forward

    @override
    def expected_shape(self, layer: KasminaLayer, x: Tensor) -> Shape:
        host: Any = layer.host
        return (x.shape[0], host.out_channels, *spatial_sizes(host, x))


@host_type(nn.Conv1d)
class Conv1dHost(_ConvolutionHost):
    """What is known of `nn.Conv1d`."""

    batched_dims = 3
    unit_axis = -2


@host_type(nn.Conv2d)
class Conv2dHost(_ConvolutionHost):
    """What is known of `nn.Conv2d`."""

    batched_dims = 4
    unit_axis = -3


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
