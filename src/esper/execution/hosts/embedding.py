"""`nn.Embedding` as a host."""

from __future__ import annotations

from torch import Tensor, nn
from typing_extensions import override

from esper.execution.hosts.host_registry import HOSTS
from esper.execution.kasmina_layer import KasminaLayer


@HOSTS.register(nn.Embedding)
class KasminaEmbedding(KasminaLayer, nn.Embedding):
    """Kernels map integers below `num_embeddings`, (B,) or (B, S), to (..., embedding_dim)."""

    @override
    def forward(self, input: Tensor) -> Tensor:  # the stock layer's name for it
        if self._live:
            found: Tensor = self._grown((input,), {})
            return found
        return nn.Embedding.forward(self, input)

    @override
    def expected_shape(self, x: Tensor) -> tuple[int | None, ...]:
        return (*x.shape, self.embedding_dim)
