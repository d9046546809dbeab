"""What goes through a nursery's pipe comes out the same, to the last bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from esper.orchestration.nursery import Batch, Mark, Trouble
from esper.services.tezzeret.nursery_wire import (
    Kind,
    Opening,
    Surroundings,
    header,
    pack_answer,
    pack_news,
    pack_opening,
    unpack,
)
from support.races import host, small_race


def came_back(value: object) -> torch.Tensor:
    found = unpack(pack_news(3, Batch(value, None, 1.0))).x
    assert isinstance(found, torch.Tensor)
    return found


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(3, 4),
        torch.randn(3, 4, dtype=torch.float64),
        torch.randn(5).to(torch.bfloat16),
        torch.arange(6, dtype=torch.int64).reshape(2, 3),
        torch.tensor([True, False]),
        torch.tensor(float("nan")),
        torch.empty(0, 7),
        torch.randn(4, 3).T,
        torch.randn(3, 4).to_sparse(),
    ],
    ids=["float", "double", "bfloat16", "ids", "bool", "scalar", "empty", "transposed", "sparse"],
)
def test_a_tensor_comes_back_bit_for_bit(tensor: torch.Tensor) -> None:
    found = came_back(tensor)
    assert (found.dtype, found.shape, found.layout) == (tensor.dtype, tensor.shape, tensor.layout)
    dense = (found.to_dense(), tensor.to_dense()) if tensor.is_sparse else (found, tensor)
    assert torch.equal(dense[0].isnan(), dense[1].isnan())
    assert torch.equal(dense[0].nan_to_num(), dense[1].nan_to_num())
    if not tensor.is_sparse:
        assert found.stride() == tensor.stride()


def test_what_comes_back_is_a_copy_without_gradient() -> None:
    parameter = nn.Parameter(torch.ones(3))
    found = came_back(parameter)
    assert not found.requires_grad
    found.add_(1)
    assert torch.equal(parameter, torch.ones(3))


def test_a_mark_names_the_live_models_tensors() -> None:
    mark = Mark(7, {"weight": torch.ones(2, 2)})
    data = pack_news(5, mark)
    assert header(data) == (Kind.NEWS, 5)
    found = unpack(data)
    assert found.step == 7
    assert torch.equal(found.live["weight"], torch.ones(2, 2))


def test_a_race_keeps_its_entrants_and_what_they_share() -> None:
    race = small_race(host())
    data = pack_opening(2**63, Opening(race, Surroundings.here(), "00-a-b-01"))
    assert header(data) == (Kind.RACE, 2**63)
    found = unpack(data)
    assert found.traceparent == "00-a-b-01"
    assert found.surroundings == Surroundings.here()
    assert len(found.race.entrants) == len(race.entrants)


def test_an_answer_says_of_which_race_it_is() -> None:
    data = pack_answer(9, Trouble("out of luck"))
    assert header(data) == (Kind.ANSWER, 9)
    assert unpack(data) == Trouble("out of luck")


def test_surroundings_are_put_on_and_off() -> None:
    before = Surroundings.here()
    try:
        torch.set_default_dtype(torch.float64)
        other = Surroundings.here()
        assert other != before
        before.apply()
        assert Surroundings.here() == before
    finally:
        before.apply()
