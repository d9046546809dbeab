from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from esper.contracts.errors import DataError
from esper.data.bundle import DataBundle, Recipe
from esper.data.task import ACCURACY, BITS_PER_CHARACTER, Task

X, Y = torch.randn(6, 3), torch.randint(0, 2, (6,))


def bundle(**parts: Any) -> DataBundle:
    whole: dict[str, Any] = {
        "name": "mine",
        "train": TensorDataset(X, Y),
        "test": TensorDataset(X, Y),
        "task": Task.CLASSIFICATION,
        "model": lambda: nn.Linear(3, 2),
        "recipe": Recipe(steps=1),
        "description": "",
        "source": "",
    }
    return DataBundle(**{**whole, **parts})


def test_loss_and_metric_are_the_ones_of_the_task_unless_given() -> None:
    assert bundle().loss_fn is nn.functional.cross_entropy
    assert bundle().measure is ACCURACY
    assert bundle(metric=BITS_PER_CHARACTER).measure is BITS_PER_CHARACTER
    assert torch.equal(bundle().example, X[:2])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train": TensorDataset(X)}, "mine: train holds 1 tensors"),
        ({"test": TensorDataset(X[:0], Y[:0])}, "the test split holds no sample"),
        ({"overlap": 0}, "overlap is 0"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        bundle(**parts)


@pytest.mark.parametrize("lengths", [{}, {"steps": 1, "epochs": 1}])
def test_recipe_has_one_length(lengths: dict[str, int]) -> None:
    with pytest.raises(DataError, match="either steps or epochs"):
        Recipe(**lengths)
