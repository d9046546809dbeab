from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from esper.contracts.errors import KernelMismatchError
from esper.execution.conversion import convert

# (host, width of the kernel's output)
HOSTS = [
    (lambda: nn.LSTM(4, 3, num_layers=2, batch_first=True), 3),
    (lambda: nn.GRU(4, 3, batch_first=True), 3),
    (lambda: nn.GRU(4, 3, num_layers=2), 3),
    (lambda: nn.LSTM(4, 3, bidirectional=True, batch_first=True), 6),
]


@pytest.mark.parametrize(("make", "width"), HOSTS)
@pytest.mark.parametrize("alpha", [0.5, 1.0])
@pytest.mark.parametrize("batched", [True, False])
def test_final_hidden_state_is_that_of_the_blended_output(
    make: object, width: int, alpha: float, batched: bool
) -> None:
    plain = make()
    layer = convert(plain, name="rnn")
    x = torch.randn(5, 5, 4) if batched else torch.randn(5, 4)
    want = layer.host(x)
    layer.install(0, nn.Linear(4, width), mode="replacing")
    layer.set_alpha(0, alpha)
    output, state = layer.host(x)
    hidden = state[0] if isinstance(state, tuple) else state
    time = 1 if layer.host.batch_first and batched else 0
    assert torch.equal(hidden[-1 - plain.bidirectional], output.select(time, -1)[..., :3])
    if plain.bidirectional:
        assert torch.equal(hidden[-1], output.select(time, 0)[..., 3:])
    shapes = [h.shape for h in want[1]] if isinstance(state, tuple) else [want[1].shape]
    assert [h.shape for h in (state if isinstance(state, tuple) else [state])] == shapes
    if plain.num_layers > 1 and alpha < 1:
        below = want[1][0] if isinstance(state, tuple) else want[1]
        assert torch.equal(hidden[0], below[0])


def test_packed_sequence_is_refused_while_a_kernel_takes_part() -> None:
    layer = convert(nn.LSTM(4, 3), name="rnn")
    packed = pack_sequence([torch.randn(5, 4), torch.randn(3, 4)])
    layer.host(packed)
    layer.install(0, nn.Linear(4, 3), mode="replacing")
    layer.host(packed)
    layer.set_alpha(0, 0.5)
    with pytest.raises(KernelMismatchError, match="'rnn' was called with a PackedSequence"):
        layer.host(packed)
