"""`nn.MultiheadAttention` as a host."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from esper.contracts.errors import KernelMismatchError
from esper.execution.hosts.host_registry import HOSTS
from esper.execution.kasmina_layer import KasminaLayer


@HOSTS.register(nn.MultiheadAttention)
class KasminaMultiheadAttention(KasminaLayer, nn.MultiheadAttention):
    """Self-attention whose kernels map the query, (B, S, embed_dim), to its attention output.

    A kernel sees the query only: no masks, and no key or value of their own. Where the host is not
    computed (a replacing kernel at alpha 1), the attention weights returned are None.
    """

    _batched_dims = 3

    @override
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self._live:
            return self._grown(args, kwargs)
        return nn.MultiheadAttention.forward(self, *args, **kwargs)

    @override
    def kernel_input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """Return the query.

        Raises:
            KernelMismatchError: The call is no self-attention, and the geometry does not say so
                (`self_attention` False among its host attributes: who installs knows that the
                kernel sees no key).
        """
        named = dict(zip(("query", "key", "value"), args, strict=False)) | kwargs
        query: Tensor = named["query"]
        if named["key"] is not query or named["value"] is not query:
            geometry = self.geometry
            if geometry is None or geometry.host_attributes.get("self_attention", True):
                raise KernelMismatchError(
                    f"layer '{self.name}' is called with a key or value that is not the query, but "
                    f"its kernels see the query only; cull them, or let self-attention layers host"
                )
        return query

    @override
    def host_output(self, output: Any) -> Tensor:
        found: Tensor = output[0]
        return found

    @override
    def rejoin(self, output: Any, blended: Tensor) -> Any:
        return blended, None if output is None else output[1]

    @override
    def expected_shape(self, x: Tensor) -> tuple[int | None, ...]:
        return tuple(x.shape)

    @property
    @override
    def batch_axis(self) -> int:
        """Axis of the batch, which the layer itself knows."""
        return 0 if self.batch_first else 1
