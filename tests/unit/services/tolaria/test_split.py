from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from esper.contracts.errors import ConfigError
from esper.data.bundle import DataBundle, Recipe
from esper.data.catalog import load
from esper.data.task import Task
from esper.services.tolaria.split import carve


def bundle(task: Task, size: int = 200, overlap: int = 1) -> DataBundle:
    x = torch.randn(size, 3)
    y = torch.arange(size) % 4 if task is Task.CLASSIFICATION else torch.randn(size)
    data = TensorDataset(x, y)
    return DataBundle(
        name="x",
        train=data,
        test=data,
        task=task,
        model=lambda: nn.Linear(3, 4),
        recipe=Recipe(steps=1),
        description="",
        source="",
        overlap=overlap,
    )


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.REGRESSION])
def test_parts_are_disjoint_and_cover_the_training_data(task: Task) -> None:
    split = carve(bundle(task), 0.1, seed=3)
    assert len(split.growth) == 20
    assert sorted([*split.train.tolist(), *split.growth.tolist()]) == list(range(200))


def test_classes_keep_their_shares() -> None:
    data = bundle(Task.CLASSIFICATION)
    split = carve(data, 0.1, seed=3)
    assert data.train.tensors[1][split.growth].bincount().tolist() == [5, 5, 5, 5]


def test_growth_rows_are_shuffled_and_decided_by_the_seed() -> None:
    data = bundle(Task.CLASSIFICATION)
    first = carve(data, 0.2, seed=3).growth
    assert torch.equal(first, carve(data, 0.2, seed=3).growth)
    assert first.tolist() != sorted(first.tolist())
    assert sorted(first.tolist()) != sorted(carve(data, 0.2, seed=4).growth.tolist())


def test_text_that_is_decided_on_is_never_learned_from(tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    # A text in which every window of five characters is unlike every other.
    path.write_text("".join(chr(0x4E00 + i) for i in range(3000)), encoding="utf-8")
    data = load("text", path=path, context=16, stride=4)
    split = carve(data, 0.1, seed=0)
    x, y = data.train.tensors
    learned = {*x[split.train].flatten().tolist(), *y[split.train].flatten().tolist()}
    held = [{*x[i].tolist(), *y[i].tolist()} for i in split.growth.tolist()]
    assert len(held) > 5
    assert not learned & set.union(*held)
    assert sum(len(h) for h in held) == len(set.union(*held))


def test_too_little_data_is_an_error() -> None:
    with pytest.raises(ConfigError, match="growth_fraction"):
        carve(bundle(Task.REGRESSION, size=3), 0.1, seed=0)
