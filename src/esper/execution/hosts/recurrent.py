"""`nn.LSTM` and `nn.GRU` as hosts.

A kernel maps the input sequence, (B, S, input_size), to the output sequence, (B, S, D * H), D being
2 for a bidirectional host. It keeps no state between calls and does not see the initial state. The
final hidden state of the last layer is taken from the blended output, so that the two agree. Where
the host is not computed, the other final states are zeros.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from typing_extensions import override

from esper.contracts.errors import KernelMismatchError
from esper.execution.hosts.host_registry import HOSTS
from esper.execution.kasmina_layer import KasminaLayer


class _Recurrent(KasminaLayer, nn.RNNBase):
    """What the recurrent hosts have in common."""

    _batched_dims = 3

    @override
    def kernel_input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """Return the input sequence.

        Raises:
            KernelMismatchError: It is packed.
        """
        sequence = args[0] if args else kwargs["input"]
        if isinstance(sequence, PackedSequence):
            raise KernelMismatchError(
                f"layer '{self.name}' was called with a PackedSequence, which kernels cannot take; "
                f"give it a padded tensor (pad_packed_sequence), or cull its kernels"
            )
        found: Tensor = sequence
        return found

    @override
    def host_output(self, output: Any) -> Tensor:
        found: Tensor = output[0]
        return found

    @override
    def expected_shape(self, x: Tensor) -> tuple[int | None, ...]:
        return (x.shape[0], x.shape[1], self._directions * self._width)

    @property
    @override
    def batch_axis(self) -> int:
        """Axis of the batch, which the layer itself knows."""
        return 0 if self.batch_first else 1

    @override
    def drop_host(self) -> None:
        """Release the host's parameters, the layer's own second list of them included."""
        super().drop_host()
        self._flat_weights = [getattr(self, name) for name in self._flat_weights_names]
        self._flat_weight_refs = [None] * len(self._flat_weights)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _width(self) -> int:
        return self.proj_size or self.hidden_size

    def _hidden(self, host: Tensor | None, blended: Tensor) -> Tensor:
        """Return h_n, (D * num_layers, [B,] H), its last layer read off `blended`."""
        time = 1 if self.batch_first and blended.dim() == self._batched_dims else 0
        width = self._width
        last = [blended.select(time, -1)[..., :width]]
        if self.bidirectional:
            last.append(blended.select(time, 0)[..., width:])
        final = torch.stack(last)
        below = self._directions * (self.num_layers - 1)
        if host is not None:
            return torch.cat([host[:below], final.to(host.dtype)])
        return torch.cat([final.new_zeros(below, *final.shape[1:]), final])


@HOSTS.register(nn.LSTM)
class KasminaLSTM(_Recurrent, nn.LSTM):
    """`nn.LSTM` with seeds; returns `(output, (h_n, c_n))`."""

    @override
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self._live:
            return self._grown(args, kwargs)
        return nn.LSTM.forward(self, *args, **kwargs)

    @override
    def rejoin(self, output: Any, blended: Tensor) -> Any:
        if output is not None:
            hidden, cell = output[1]
            return blended, (self._hidden(hidden, blended), cell)
        hidden = self._hidden(None, blended)
        return blended, (hidden, hidden.new_zeros(*hidden.shape[:-1], self.hidden_size))


@HOSTS.register(nn.GRU)
class KasminaGRU(_Recurrent, nn.GRU):
    """`nn.GRU` with seeds; returns `(output, h_n)`."""

    @override
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self._live:
            return self._grown(args, kwargs)
        return nn.GRU.forward(self, *args, **kwargs)

    @override
    def rejoin(self, output: Any, blended: Tensor) -> Any:
        return blended, self._hidden(None if output is None else output[1], blended)
