"""`nn.MultiheadAttention` as a host.

Kernels map the query, (B, S, embed_dim), to the attention's output. They see the query only: no
masks, and no key or value of their own. Where the host is not computed (a replacing kernel at
alpha 1), the attention weights returned are None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from typing_extensions import override

from esper.contracts.errors import KernelMismatchError
from esper.execution.hosts.host_registry import Host, Shape, host_type

if TYPE_CHECKING:
    from esper.execution.kasmina_layer import KasminaLayer


@host_type(nn.MultiheadAttention)
class AttentionHost(Host):
    """What is known of `nn.MultiheadAttention`."""

    batched_dims = 3

    @override
    def kernel_input(
        self, layer: KasminaLayer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Tensor:
        """Return the query.

        Raises:
            KernelMismatchError: The call is no self-attention, and the geometry does not say so
                (`self_attention` False among its host attributes: who installs knows that the
                kernel sees no key).
        """
        named = dict(zip(("query", "key", "value"), args, strict=False)) | kwargs
        query: Tensor = named["query"]
        if named["key"] is not query or named["value"] is not query:
            geometry = layer.geometry
            if geometry is None or geometry.host_attributes.get("self_attention", True):
                raise KernelMismatchError(
                    f"layer '{layer.name}' is called with a key or value that is not the query, but "
                    f"its kernels see the query only; cull them, or let self-attention layers host"
                )
        return query

    @override
    def host_output(self, layer: KasminaLayer, output: Any) -> Tensor:
        found: Tensor = output[0]
        return found

    @override
    def rejoin(self, layer: KasminaLayer, output: Any, blended: Tensor) -> Any:
        return blended, None if output is None else output[1]

    @override
    def expected_shape(self, layer: KasminaLayer, x: Tensor) -> Shape:
        return tuple(x.shape)

    @override
    def batch_axis(self, layer: KasminaLayer) -> int:
        """Return the axis of the batch, which the layer itself knows."""
        return 0 if layer.host.batch_first else 1
