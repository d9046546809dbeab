"""The governor restores model and optimizer to the last good state."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from esper.orchestration.governor import Governor


def trained() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(3):
        train(model, optimizer)
    return model, optimizer


def train(model: nn.Module, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    loss = model(torch.randn(16, 4)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def test_restoring_continues_bit_for_bit_as_if_nothing_had_happened() -> None:
    model, optimizer = trained()
    twin = copy.deepcopy((model, optimizer))
    governor = Governor(spike=4.0)
    governor.arm(model, optimizer, level=1.0)
    torch.manual_seed(1)
    for _ in range(5):
        train(model, optimizer)
    governor.restore(model, optimizer)
    for run in ((model, optimizer), twin):
        torch.manual_seed(2)
        for _ in range(3):
            train(*run)
    for name, value in twin[0].state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    assert not governor.is_armed


def test_only_bad_losses_are_reported_and_only_while_armed() -> None:
    model, optimizer = trained()
    governor = Governor(spike=4.0, period=3)
    assert governor.observe(torch.tensor(math.nan)) is None
    governor.arm(model, optimizer, level=1.0)
    assert [governor.observe(torch.tensor(2.0)) for _ in range(3)] == [None] * 3
    assert [governor.observe(torch.tensor(9.0)) for _ in range(2)] == [None] * 2
    assert "rose to 9" in str(governor.observe(torch.tensor(9.0)))
    assert [governor.observe(torch.tensor(math.nan)) for _ in range(2)] == [None] * 2
    assert "not finite" in str(governor.observe(torch.tensor(1.0)))


def test_a_saved_governor_goes_on_with_the_same_good_state() -> None:
    model, optimizer = trained()
    governor = Governor(spike=4.0)
    governor.arm(model, optimizer, level=1.0)
    good = copy.deepcopy(model.state_dict())
    governor.observe(torch.tensor(1.0))
    names = {p: n for n, p in model.named_parameters()}
    state = governor.state_dict(names)
    train(model, optimizer)
    other = Governor(spike=4.0)
    other.load_state_dict(state, dict(model.named_parameters()))
    other.restore(model, optimizer)
    for name, value in good.items():
        assert torch.equal(value, model.state_dict()[name])
