from __future__ import annotations

import pytest
import torch
from torch import nn

from esper.blueprints.initial import initialise


def weight(layer: nn.Module, rule: str) -> torch.Tensor:
    return initialise(layer, rule).get_parameter("weight").detach()


def test_zero_clears_weight_and_bias() -> None:
    layer = initialise(nn.Linear(3, 4), "zero")
    assert not any(parameter.any() for parameter in layer.parameters())


def test_the_cosine_transform_is_orthonormal() -> None:
    basis = weight(nn.Linear(12, 12), "dct")
    assert torch.allclose(basis @ basis.T, torch.eye(12), atol=1e-5)


@pytest.mark.parametrize(("layer", "rows"), [(nn.Conv1d(1, 2, 2), 2), (nn.Conv2d(1, 4, 2), 4)])
def test_haar_filters_are_orthonormal(layer: nn.Module, rows: int) -> None:
    filters = weight(layer, "haar").flatten(1)
    assert torch.allclose(filters @ filters.T, torch.eye(rows), atol=1e-6)


def test_fourier_rows_pair_a_cosine_with_a_sine() -> None:
    filters = weight(nn.Conv1d(1, 8, 9), "fourier").squeeze(1)
    assert torch.allclose(filters[:4], filters[:4].flip(1), atol=1e-6)
    assert torch.allclose(filters[4:], -filters[4:].flip(1), atol=1e-6)
    assert torch.allclose(filters.norm(dim=1), torch.ones(8), atol=1e-5)


def test_the_default_keeps_what_torch_drew() -> None:
    layer = nn.Linear(3, 4)
    before = layer.weight.detach().clone()
    assert torch.equal(weight(layer, "default"), before)
