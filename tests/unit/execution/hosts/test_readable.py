from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn
from torch.nn import functional

from esper.execution.hosts.readable import readable_only


class Tied(nn.Module):
    """A language model's head that reads its embedding's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.body = nn.Linear(3, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        hidden = self.body(self.embed(ids).to(self.body.weight.dtype))
        return functional.linear(hidden, self.embed.weight)


def test_output_projection_of_attention_is_found_and_the_reason_given() -> None:
    found = readable_only(nn.Sequential(nn.Linear(4, 4), nn.MultiheadAttention(4, 2)))
    assert list(found) == ["1.out_proj"]
    assert "MultiheadAttention reads out_proj.weight itself" in found["1.out_proj"]


def test_layers_of_a_transformer_encoder_can_host_but_for_the_output_projection() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    assert list(readable_only(nn.TransformerEncoder(layer, 1))) == ["layers.0.self_attn.out_proj"]


def test_weight_read_by_a_tied_head_is_found_and_a_read_dtype_is_not() -> None:
    assert list(readable_only(Tied())) == ["embed"]


def test_plain_models_have_nothing_to_exclude() -> None:
    assert readable_only(nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2))) == {}


def test_the_source_of_a_class_is_looked_at_once_however_many_layers_are_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Block(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    looked_at: list[type] = []
    look = inspect.getsource
    monkeypatch.setattr(inspect, "getsource", lambda kind: looked_at.append(kind) or look(kind))
    for _ in range(2):
        assert readable_only(nn.Sequential(*(Block() for _ in range(10)))) == {}
    assert looked_at.count(Block) == 1
