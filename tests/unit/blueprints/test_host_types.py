from __future__ import annotations

import pytest
import torch
from torch import nn

from esper.blueprints.host_types import HOST_TYPES

LAYERS = (
    nn.Linear(2, 3),
    nn.Linear(2, 3, bias=False),
    nn.Conv1d(2, 4, 3, stride=2, padding="valid", dilation=2, groups=2),
    nn.Conv2d(2, 4, (3, 1), padding=1, padding_mode="circular", bias=False),
    nn.LayerNorm((3, 2), bias=False),
    nn.LayerNorm(3, elementwise_affine=False),
    nn.RMSNorm(3),
    nn.GroupNorm(2, 4, affine=False),
    nn.BatchNorm1d(3, momentum=None),
    nn.BatchNorm2d(3, track_running_stats=False),
    nn.Embedding(5, 3, padding_idx=1),
    nn.LSTM(2, 4, num_layers=2, batch_first=True, bidirectional=True, proj_size=3),
    nn.GRU(2, 4, bias=False),
)


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_what_is_read_off_a_layer_makes_its_like(layer: nn.Module) -> None:
    found = dict(HOST_TYPES.lookup_type(type(layer)).attributes(layer))
    again = type(layer)(**found)
    assert repr(again) == repr(layer)
    shapes = [{n: v.shape for n, v in one.state_dict().items()} for one in (again, layer)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(("width", "alike"), [(4, True), (6, False)])
def test_attention_says_whether_it_may_attend_to_itself(width: int, alike: bool) -> None:
    layer = nn.MultiheadAttention(4, 2, kdim=width, vdim=width, bias=False)
    found = HOST_TYPES.lookup_type(type(layer)).attributes(layer)
    assert found["self_attention"] is alike
    assert found["bias"] is False


def test_a_subclass_is_described_as_what_it_is_one_of() -> None:
    class Own(nn.Linear):
        pass

    assert HOST_TYPES.lookup_type(Own).host == "linear"
    assert torch.nn.Linear in HOST_TYPES
