"""`nn.LSTM` and `nn.GRU` as hosts.

A kernel maps the input sequence, (B, S, input_size), to the output sequence, (B, S, D * H), D being
2 for a bidirectional host. It keeps no state between calls and does not see the initial state. The
final hidden state of the last layer is taken from the blended output, so that the two agree. Where
the host is not computed, the other final states are zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from typing_extensions import override

from esper.contracts.errors import KernelMismatchError
from esper.execution.hosts.host_registry import Host, Shape, host_type

if TYPE_CHECKING:
    from esper.execution.kasmina_layer import KasminaLayer


class _RecurrentHost(Host):
    """What the recurrent hosts have in common."""

    batched_dims = 3

    @override
    def kernel_input(
        self, layer: KasminaLayer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Tensor:
        """Return the input sequence.

        Raises:
            KernelMismatchError: It is packed.
        """
        sequence = args[0] if args else kwargs["input"]
        if isinstance(sequence, PackedSequence):
            raise KernelMismatchError(
                f"layer '{layer.name}' was called with a PackedSequence, which kernels cannot take; "
                f"give it a padded tensor (pad_packed_sequence), or cull its kernels"
            )
        found: Tensor = sequence
        return found

    @override
    def host_output(self, layer: KasminaLayer, output: Any) -> Tensor:
        found: Tensor = output[0]
        return found

    @override
    def expected_shape(self, layer: KasminaLayer, x: Tensor) -> Shape:
        host: Any = layer.host
        return (x.shape[0], x.shape[1], (1 + host.bidirectional) * _width(host))

    @override
    def batch_axis(self, layer: KasminaLayer) -> int:
        """Return the axis of the batch, which the layer itself knows."""
        return 0 if layer.host.batch_first else 1

    @override
    def forget_dropped(self, module: nn.Module) -> None:
        host: Any = module
        host._flat_weights = [getattr(host, name) for name in host._flat_weights_names]
        host._flat_weight_refs = [None] * len(host._flat_weights)


@host_type(nn.LSTM)
class LSTMHost(_RecurrentHost):
    """What is known of `nn.LSTM`, which returns `(output, (h_n, c_n))`."""

    @override
    def rejoin(self, layer: KasminaLayer, output: Any, blended: Tensor) -> Any:
        host: Any = layer.host
        if output is not None:
            hidden, cell = output[1]
            return blended, (_hidden(host, hidden, blended), cell)
        hidden = _hidden(host, None, blended)
        return blended, (hidden, hidden.new_zeros(*hidden.shape[:-1], host.hidden_size))


@host_type(nn.GRU)
class GRUHost(_RecurrentHost):
    """What is known of `nn.GRU`, which returns `(output, h_n)`."""

    @override
    def rejoin(self, layer: KasminaLayer, output: Any, blended: Tensor) -> Any:
        return blended, _hidden(layer.host, None if output is None else output[1], blended)


def _width(host: Any) -> int:
    width: int = host.proj_size or host.hidden_size
    return width


def _hidden(host: Any, states: Tensor | None, blended: Tensor) -> Tensor:
    """Return h_n, (D * num_layers, [B,] H), its last layer read off `blended`."""
    time, width = (
        int(host.batch_first and blended.dim() == _RecurrentHost.batched_dims),
        _width(host),
    )
    last = [blended.select(time, -1)[..., :width]]
    if host.bidirectional:
        last.append(blended.select(time, 0)[..., width:])
    final = torch.stack(last)
    below = len(last) * (host.num_layers - 1)
    if states is not None:
        return torch.cat([states[:below], final.to(states.dtype)])
    return torch.cat([final.new_zeros(below, *final.shape[1:]), final])
