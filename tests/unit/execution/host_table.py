"""One row per host type: the plain layer, its input, and a kernel that fits it.

A new host type is one file in `execution/hosts/` and one row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


class PerPosition(nn.Module):
    """(B, ..., in) to (B, ..., out), with a hidden layer."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Linear(inputs, 2 * outputs)
        self.down = nn.Linear(2 * outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(torch.tanh(self.up(x)))


def _floats(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(*shape)


def _ids() -> Tensor:
    return torch.randint(0, 11, (4, 7))


@dataclass(frozen=True, kw_only=True)
class HostCase:
    name: str
    make: Callable[[], nn.Module]
    kernel: Callable[[], nn.Module]
    inputs: Callable[[], Tensor]
    call: Callable[[nn.Module, Tensor], Any] = lambda layer, x: layer(x)
    main: Callable[[Any], Tensor] = lambda output: output
    to_kernel: Callable[[Tensor], Tensor] = lambda x: x

    def __str__(self) -> str:
        return self.name


def _attend(layer: nn.Module, x: Tensor) -> Any:
    return layer(x, x, x)


def _first(output: Any) -> Tensor:
    return output[0]


def _swap(x: Tensor) -> Tensor:
    return x.transpose(0, 1)


def _conv(dims: int) -> Callable[[], nn.Module]:
    kind = (nn.Conv1d, nn.Conv2d)[dims - 1]
    return lambda: nn.Sequential(kind(3, 8, 3, stride=2, padding=1), nn.ReLU(), kind(8, 6, 1))


CASES = [
    HostCase(
        name="linear",
        make=lambda: nn.Linear(6, 5),
        kernel=lambda: PerPosition(6, 5),
        inputs=_floats(4, 6),
    ),
    HostCase(
        name="linear_tokens",
        make=lambda: nn.Linear(6, 5, bias=False),
        kernel=lambda: PerPosition(6, 5),
        inputs=_floats(4, 7, 6),
    ),
    HostCase(
        name="conv1d",
        make=lambda: nn.Conv1d(3, 6, 5, stride=2, padding=2),
        kernel=_conv(1),
        inputs=_floats(4, 3, 12),
    ),
    HostCase(
        name="conv2d",
        make=lambda: nn.Conv2d(3, 6, 3, stride=2, padding=1, padding_mode="reflect"),
        kernel=_conv(2),
        inputs=_floats(4, 3, 8, 10),
    ),
    HostCase(
        name="layer_norm",
        make=lambda: nn.LayerNorm(6),
        kernel=lambda: PerPosition(6, 6),
        inputs=_floats(4, 7, 6),
    ),
    HostCase(
        name="rms_norm",
        make=lambda: nn.RMSNorm(6),
        kernel=lambda: PerPosition(6, 6),
        inputs=_floats(4, 7, 6),
    ),
    HostCase(
        name="group_norm",
        make=lambda: nn.GroupNorm(2, 6),
        kernel=lambda: nn.Conv1d(6, 6, 3, padding=1),
        inputs=_floats(4, 6, 7),
    ),
    HostCase(
        name="batch_norm1d",
        make=lambda: nn.BatchNorm1d(6),
        kernel=lambda: PerPosition(6, 6),
        inputs=_floats(4, 6),
    ),
    HostCase(
        name="batch_norm2d",
        make=lambda: nn.BatchNorm2d(6),
        kernel=lambda: nn.Conv2d(6, 6, 3, padding=1),
        inputs=_floats(4, 6, 5, 5),
    ),
    HostCase(
        name="embedding",
        make=lambda: nn.Embedding(11, 6, padding_idx=0),
        kernel=lambda: nn.Sequential(nn.Embedding(11, 3), nn.Linear(3, 6)),
        inputs=_ids,
    ),
    HostCase(
        name="attention",
        make=lambda: nn.MultiheadAttention(6, 2, batch_first=True),
        kernel=lambda: PerPosition(6, 6),
        inputs=_floats(4, 7, 6),
        call=_attend,
        main=_first,
    ),
    HostCase(
        name="attention_sequence_first",
        make=lambda: nn.MultiheadAttention(6, 2),
        kernel=lambda: PerPosition(6, 6),
        inputs=_floats(7, 4, 6),
        call=_attend,
        main=_first,
        to_kernel=_swap,
    ),
    HostCase(
        name="lstm",
        make=lambda: nn.LSTM(6, 5, num_layers=2, batch_first=True),
        kernel=lambda: PerPosition(6, 5),
        inputs=_floats(4, 7, 6),
        main=_first,
    ),
    HostCase(
        name="lstm_projected_sequence_first",
        make=lambda: nn.LSTM(6, 5, proj_size=3),
        kernel=lambda: PerPosition(6, 3),
        inputs=_floats(7, 4, 6),
        main=_first,
        to_kernel=_swap,
    ),
    HostCase(
        name="gru_bidirectional",
        make=lambda: nn.GRU(6, 5, batch_first=True, bidirectional=True),
        kernel=lambda: PerPosition(6, 10),
        inputs=_floats(4, 7, 6),
        main=_first,
    ),
]


def flatten(output: Any) -> list[Tensor]:
    """Return all tensors of an output, in order."""
    if isinstance(output, Tensor):
        return [output]
    return [] if output is None else [tensor for part in output for tensor in flatten(part)]
