"""The shadow: what an entrant may train, what stands in for what, and that the live model keeps still."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from esper.contracts.enums import KernelMode
from esper.contracts.errors import TrainingError
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.orchestration.shadow import OwnRandomness, Shadow, copy_module, tensors


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(torch.relu(self.first(x)))


X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> MorphableModel:
    net = nn.Sequential(nn.Linear(4, 4), Block(), nn.Dropout(0.5), nn.Linear(4, 2))
    return wrap(net, [nn.Linear, "1+"], example_input=X)


def test_an_entrant_trains_private_copies_of_what_runs_after_its_place(
    model: MorphableModel,
) -> None:
    shadow = Shadow(model.wrapped_model, X)
    after = {
        "0": ["1.first", "1.second", "3"],
        "1.first": ["1.second", "3"],
        "1.second": ["3"],
        "1+": ["3"],
        "3": [],
    }
    for slot, owners in after.items():
        rest = shadow.rest(slot)
        assert list(rest) == [f"{owner}.{kind}" for owner in owners for kind in ("weight", "bias")]
        assert all(
            rest[name] is not tensor
            for name, tensor in tensors(shadow.model).items()
            if name in rest
        )


def test_a_kernel_stands_in_with_its_rest_and_everything_is_back_afterwards(
    model: MorphableModel,
) -> None:
    shadow = Shadow(model.wrapped_model, X)
    with torch.no_grad():
        plain = shadow.model(X)
        head = {name: nn.Parameter(2 * p) for name, p in shadow.rest("1+").items()}
        kernel = nn.Linear(4, 4)
        with shadow.standing_in("1+", kernel, KernelMode.RESIDUAL, head) as standing:
            grown = standing(X)
        block = shadow.model[1](shadow.model[0](X))
        assert torch.allclose(grown, 2 * shadow.model[3](block + kernel(block)), atol=1e-6)
        assert torch.equal(shadow.model(X), plain)


def test_the_null_behind_a_module_changes_nothing(model: MorphableModel) -> None:
    shadow = Shadow(model.wrapped_model, X)
    with torch.no_grad():
        plain = shadow.model(X)
        with shadow.standing_in("1+", nn.Identity(), KernelMode.REPLACING, {}) as standing:
            assert torch.equal(standing(X), plain)


def test_the_null_keeps_the_kernels_that_stand_there_already(model: MorphableModel) -> None:
    model.install_kernel("1+", 0, nn.Linear(4, 4), mode=KernelMode.RESIDUAL)
    model.set_seed_alpha("1+", 0, 1.0)
    shadow = Shadow(model.wrapped_model, X)
    with torch.no_grad():
        plain = shadow.model(X)
        with shadow.standing_in("1+", nn.Identity(), KernelMode.REPLACING, {}) as standing:
            assert torch.equal(standing(X), plain)


def test_kernels_behind_a_layer_are_trained_along_with_a_kernel_in_it() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    model = wrap(net, ["0", "0+"], example_input=X)
    for site in ("0", "0+"):
        model.install_kernel(site, 0, nn.Linear(4, 4), mode=KernelMode.RESIDUAL)
        model.set_seed_alpha(site, 0, 0.5)
    shadow = Shadow(model.wrapped_model, X)
    behind = [f"0.esper_behind.0.{kind}" for kind in ("weight", "bias")]
    assert list(shadow.rest("0")) == [*behind, "1.weight", "1.bias"]
    assert list(shadow.rest("0+")) == ["1.weight", "1.bias"]


def test_the_copy_is_brought_up_to_date_and_the_live_model_is_never_touched(
    model: MorphableModel,
) -> None:
    live = model.wrapped_model
    shadow, before = Shadow(live, X), copy.deepcopy(live.state_dict())
    with torch.no_grad():
        live[0].weight.add_(1.0)
    assert not torch.equal(shadow.model[0].weight, live[0].weight)
    shadow.refresh(tensors(live))
    assert torch.equal(shadow.model[0].weight, live[0].weight)
    assert not shadow.model.training
    assert all(torch.equal(before[n], t) for n, t in live.state_dict().items() if n != "0.weight")


def test_a_model_that_cannot_be_copied_is_named() -> None:
    net = nn.Linear(2, 2)
    net.handle = (yielded for yielded in ())
    with pytest.raises(TrainingError, match="Linear cannot be copied for the shadow"):
        copy_module(net)


def test_its_random_state_goes_on_by_itself() -> None:
    own = OwnRandomness(3, torch.device("cpu"))
    before = torch.get_rng_state()
    with own():
        first = torch.rand(2)
    state = own.state_dict()
    with own():
        second = torch.rand(2)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, second)
    own.load_state_dict(state)
    with own():
        assert torch.equal(torch.rand(2), second)
