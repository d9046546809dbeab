"""The normalisation layers as hosts: `LayerNorm`, `RMSNorm`, `GroupNorm`, `BatchNorm1d`, `2d`.

Kernels map the layer's input to an output of the same shape. Where a replacing kernel at alpha 1
has taken a batch norm's place, the host is not computed and its running statistics stand still.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from typing_extensions import override

from esper.execution.hosts.host_registry import Host, Shape, host_type

if TYPE_CHECKING:
    from esper.execution.kasmina_layer import KasminaLayer


@host_type(nn.LayerNorm, nn.RMSNorm)
class NormHost(Host):
    """What is known of norms over the last axes."""

    @override
    def expected_shape(self, layer: KasminaLayer, x: Tensor) -> Shape:
        return tuple(x.shape)


@host_type(nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d)
class ChannelNormHost(NormHost):
    """What is known of norms of channels."""

    unit_axis = 1
