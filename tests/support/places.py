"""Layers of every supported type in small models, and their traced geometries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from esper.blueprints.geometry import Geometry, trace


class Turned(nn.Module):
    """Flattens an image with its channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 12 * 12, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layer(x.permute(0, 2, 3, 1).flatten(1))
        return out


class Attending(nn.Module):
    """Attention by itself, causal or not, in either axis order."""

    def __init__(self, *, causal: bool, batch_first: bool) -> None:
        super().__init__()
        self.causal, self.batch_first = causal, batch_first
        self.layer = nn.MultiheadAttention(32, 4, batch_first=batch_first)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = x.shape[1 if self.batch_first else 0]
        mask = nn.Transformer.generate_square_subsequent_mask(length) if self.causal else None
        out, _ = self.layer(x, x, x, attn_mask=mask)
        return out + x


class Reading(nn.Module):
    """Embeds ids and reads one vector off each."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Embedding(50, 16, padding_idx=0)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.layer(ids).mean(1)


class Recurring(nn.Module):
    """A recurrent net and the last position's output."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, _ = self.layer(x)
        return out[:, -1]


def _named(layer: nn.Module, *after: nn.Module) -> nn.Module:
    model = nn.Sequential()
    model.add_module("layer", layer)
    for place, module in enumerate(after):
        model.add_module(f"after{place}", module)
    return model


def _image() -> nn.Module:
    model = nn.Sequential(nn.Flatten())
    model.add_module("layer", nn.Linear(784, 24))
    return model


@dataclass(frozen=True)
class Place:
    model: Callable[[], nn.Module]
    example: Callable[[], Any]


def _floats(*shape: int) -> Callable[[], torch.Tensor]:
    return lambda: torch.randn(*shape, generator=torch.Generator().manual_seed(0))


PLACES: dict[str, Place] = {
    "linear over a signal": Place(lambda: _named(nn.Linear(40, 20)), _floats(4, 40)),
    "linear over a long signal": Place(lambda: _named(nn.Linear(300, 12)), _floats(4, 300)),
    "linear over a signal of channels": Place(
        lambda: nn.Sequential(nn.Flatten(), _named(nn.Linear(96, 8))), _floats(4, 3, 32)
    ),
    "linear over an image": Place(_image, _floats(4, 1, 28, 28)),
    "linear over a turned image": Place(Turned, _floats(4, 3, 12, 12)),
    "linear over few features": Place(lambda: _named(nn.Linear(9, 5, bias=False)), _floats(4, 9)),
    "linear over tokens": Place(lambda: _named(nn.Linear(24, 36)), _floats(4, 7, 24)),
    "conv1d of the same size": Place(
        lambda: _named(nn.Conv1d(6, 10, 5, padding=2)), _floats(4, 6, 20)
    ),
    "conv1d with a stride": Place(
        lambda: _named(nn.Conv1d(6, 10, 4, stride=3, padding=1, dilation=2)), _floats(4, 6, 23)
    ),
    "conv1d with padding same": Place(
        lambda: _named(nn.Conv1d(6, 10, 4, padding="same")), _floats(4, 6, 20)
    ),
    "conv2d of the same size": Place(
        lambda: _named(nn.Conv2d(4, 8, 3, padding="same")), _floats(4, 4, 9, 8)
    ),
    "conv2d with a stride": Place(
        lambda: _named(nn.Conv2d(4, 8, (3, 5), stride=(2, 1), padding="valid", groups=2)),
        _floats(4, 4, 9, 11),
    ),
    "self-attention": Place(lambda: Attending(causal=False, batch_first=True), _floats(4, 6, 32)),
    "causal self-attention": Place(
        lambda: Attending(causal=True, batch_first=False), _floats(6, 4, 32)
    ),
    "layer norm over tokens": Place(lambda: _named(nn.LayerNorm(16)), _floats(4, 5, 16)),
    "layer norm over an image": Place(lambda: _named(nn.LayerNorm((4, 6, 6))), _floats(4, 4, 6, 6)),
    "layer norm without affine": Place(
        lambda: _named(nn.LayerNorm(16, elementwise_affine=False)), _floats(4, 16)
    ),
    "rms norm": Place(lambda: _named(nn.RMSNorm(16)), _floats(4, 5, 16)),
    "group norm": Place(lambda: _named(nn.GroupNorm(2, 8)), _floats(4, 8, 6, 6)),
    "batch norm of vectors": Place(lambda: _named(nn.BatchNorm1d(12)), _floats(4, 12)),
    "batch norm of lines": Place(lambda: _named(nn.BatchNorm1d(12)), _floats(4, 12, 9)),
    "batch norm of images": Place(
        lambda: _named(nn.BatchNorm2d(12, momentum=None)), _floats(4, 12, 5, 5)
    ),
    "embedding": Place(Reading, lambda: torch.arange(24).reshape(4, 6)),
    "lstm": Place(
        lambda: Recurring(nn.LSTM(10, 12, 2, batch_first=True, bidirectional=True, dropout=0.1)),
        _floats(4, 7, 10),
    ),
    "gru": Place(lambda: Recurring(nn.GRU(10, 12, batch_first=True)), _floats(4, 7, 10)),
}
"""Every place that the library is tested at, by a description."""


def find_layer(model: nn.Module) -> nn.Module:
    return next(module for name, module in model.named_modules() if name.endswith("layer"))


def geometry_at(description: str) -> Geometry:
    """Return the geometry of a place."""
    place = PLACES[description]
    torch.manual_seed(0)
    model = place.model()
    return trace(model, place.example(), {"layer": find_layer(model)})["layer"]
