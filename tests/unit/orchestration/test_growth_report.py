"""The records of a model's layers, from which reports and pages draw it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from esper.contracts.enums import KernelMode
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.orchestration.growth_report import layer_records


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map, self.act = nn.Linear(4, 4), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.act(self.map(x))


def opened() -> MorphableModel:
    net = nn.Sequential(Block(), nn.Linear(4, 2))
    return wrap(net, ["0+", "0.map", "0.act+", "1+"], example_input=torch.randn(3, 4))


def test_the_place_behind_a_module_comes_after_what_is_in_it() -> None:
    records = layer_records(opened())
    assert [(r.name, r.kind, r.parameters) for r in records] == [
        ("0.map", "Linear", 20),
        ("0.act+", "place", 0),
        ("0+", "place", 0),
        ("1", "Linear", 10),
        ("1+", "place", 0),
    ]
    assert not any(record.grown for record in records)


def test_a_kernel_stands_where_its_place_was() -> None:
    model = opened()
    model.install_kernel("0+", 1, nn.Linear(4, 4), mode=KernelMode.RESIDUAL, label="mlp/small")
    model.set_seed_alpha("0+", 1, 0.5)
    records = layer_records(model)
    assert [record.name for record in records] == ["0.map", "0.act+", "0+", "1", "1+"]
    (grown,) = [record for record in records if record.grown]
    assert (grown.name, grown.kind, grown.parameters) == ("0+", "mlp/small", 20)


def test_a_module_under_two_names_is_one_layer() -> None:
    shared = nn.Linear(4, 4)
    assert [r.name for r in layer_records(nn.Sequential(shared, nn.ReLU(), shared))] == ["0"]
