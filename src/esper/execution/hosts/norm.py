"""The normalisation layers as hosts: `LayerNorm`, `RMSNorm`, `GroupNorm`, `BatchNorm1d`, `2d`.

Kernels map the layer's input to an output of the same shape. Where a replacing kernel at alpha 1
has taken a batch norm's place, the host is not computed and its running statistics stand still.
"""

from __future__ import annotations

from torch import Tensor, nn
from typing_extensions import override

from esper.execution.hosts.host_registry import HOSTS
from esper.execution.kasmina_layer import KasminaLayer


class _SameShape(KasminaLayer):
    """What the normalisation hosts have in common."""

    @override
    def expected_shape(self, x: Tensor) -> tuple[int | None, ...]:
        return tuple(x.shape)


@HOSTS.register(nn.LayerNorm)
class KasminaLayerNorm(_SameShape, nn.LayerNorm):
    """`nn.LayerNorm` with seeds."""

    @override
    def forward(self, input: Tensor) -> Tensor:  # the stock layer's name for it
        if self._live:
            found: Tensor = self._grown((input,), {})
            return found
        return nn.LayerNorm.forward(self, input)


@HOSTS.register(nn.RMSNorm)
class KasminaRMSNorm(_SameShape, nn.RMSNorm):
    """`nn.RMSNorm` with seeds."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        if self._live:
            found: Tensor = self._grown((x,), {})
            return found
        return nn.RMSNorm.forward(self, x)


@HOSTS.register(nn.GroupNorm)
class KasminaGroupNorm(_SameShape, nn.GroupNorm):
    """`nn.GroupNorm` with seeds."""

    unit_axis = 1

    @override
    def forward(self, input: Tensor) -> Tensor:  # the stock layer's name for it
        if self._live:
            found: Tensor = self._grown((input,), {})
            return found
        return nn.GroupNorm.forward(self, input)


@HOSTS.register(nn.BatchNorm1d)
class KasminaBatchNorm1d(_SameShape, nn.BatchNorm1d):
    """`nn.BatchNorm1d` with seeds."""

    unit_axis = 1

    @override
    def forward(self, input: Tensor) -> Tensor:  # the stock layer's name for it
        if self._live:
            found: Tensor = self._grown((input,), {})
            return found
        return nn.BatchNorm1d.forward(self, input)


@HOSTS.register(nn.BatchNorm2d)
class KasminaBatchNorm2d(_SameShape, nn.BatchNorm2d):
    """`nn.BatchNorm2d` with seeds."""

    unit_axis = 1

    @override
    def forward(self, input: Tensor) -> Tensor:  # the stock layer's name for it
        if self._live:
            found: Tensor = self._grown((input,), {})
            return found
        return nn.BatchNorm2d.forward(self, input)
