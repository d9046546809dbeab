"""`nn.Embedding` as a host.

Kernels map integers below `num_embeddings`, (B,) or (B, S), to (..., embedding_dim).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from typing_extensions import override

from esper.execution.hosts.host_registry import Host, Shape, host_type

if TYPE_CHECKING:
    from esper.execution.kasmina_layer import KasminaLayer


@host_type(nn.Embedding)
class EmbeddingHost(Host):
    """What is known of `nn.Embedding`."""

    @override
    def expected_shape(self, layer: KasminaLayer, x: Tensor) -> Shape:
        host: Any = layer.host
        return (*x.shape, host.embedding_dim)
