from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from esper.contracts.errors import ConfigError
from esper.core.model_comparison import compare


class Shifted(nn.Module):
    """Adds a number; in training another one."""

    def __init__(self, by: float, *, as_dict: bool = False) -> None:
        super().__init__()
        self.by, self.as_dict = by, as_dict

    def forward(self, x: Tensor) -> Any:
        y = x + self.by + (100.0 if self.training else 0.0)
        return {"y": y, "index": torch.arange(2), "twice": 2 * y} if self.as_dict else y


X = torch.zeros(2, 3)


def test_the_difference_is_that_of_evaluation_and_each_module_keeps_its_mode() -> None:
    model, reference = Shifted(2.0), Shifted(0.5).eval()
    found = compare(model, reference, (X,), {})
    assert found == {"mse": 2.25, "max_absolute_difference": 1.5, "output_shape": X.shape}
    assert (model.training, reference.training) == (True, False)


def test_every_floating_tensor_of_an_output_counts() -> None:
    found = compare(Shifted(1.0, as_dict=True), Shifted(0.0, as_dict=True), (), {"x": X})
    # Six values off by 1, six by 2.
    assert found["mse"] == 2.5
    assert found["max_absolute_difference"] == 2.0
    assert found["output_shape"] == [X.shape, X.shape]


def test_outputs_of_other_shapes_are_refused_with_both() -> None:
    with pytest.raises(ConfigError, match=r"\[2, 3\].*\[2, 4\]"):
        compare(nn.Linear(3, 3), nn.Linear(3, 4), (X,), {})


def test_outputs_without_floating_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be compared"):
        compare(nn.Identity(), nn.Identity(), (torch.arange(3),), {})
