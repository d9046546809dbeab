from __future__ import annotations

import pytest
import torch
from torch import nn

from esper.blueprints.ops.shapes_only import ShapesOnly

MODULES = [
    lambda: nn.Linear(3, 4),
    lambda: nn.Conv2d(2, 4, 3),
    lambda: nn.BatchNorm1d(4),
    lambda: nn.LayerNorm(4),
    lambda: nn.Embedding(5, 4, padding_idx=0),
    lambda: nn.GRU(3, 4),
    lambda: nn.MultiheadAttention(4, 2),
]


@pytest.mark.parametrize("make", MODULES)
def test_a_module_has_the_shapes_dtypes_and_flags_that_it_always_has(make: type[nn.Module]) -> None:
    plain = make()
    with torch.device("meta"), ShapesOnly():
        described = make()
    expected, found = plain.state_dict(keep_vars=True), described.state_dict(keep_vars=True)
    assert list(found) == list(expected)
    for name, tensor in found.items():
        assert tensor.is_meta
        assert tensor.shape == expected[name].shape
        assert tensor.dtype == expected[name].dtype
        assert tensor.requires_grad == expected[name].requires_grad
        assert type(tensor) is type(expected[name])


def test_the_random_state_is_left_as_it_is() -> None:
    before = torch.random.get_rng_state()
    with ShapesOnly():
        nn.Linear(3, 4)
    assert torch.equal(torch.random.get_rng_state(), before)
