"""The cost account, kept by hand over a model whose FLOPs are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from esper.orchestration.compute_ledger import Ledger

FORWARD, TRAINING = 2 * 3 * 4, 2 * 2 * 3 * 4  # nobody asks for the input's gradient


def ledger() -> Ledger:
    return Ledger(nn.Linear(3, 4), torch.ones(8, 3), torch.ones(8, 4), F.mse_loss)


def test_a_step_costs_its_samples_and_is_compared_with_the_static_model() -> None:
    books = ledger()
    books.charge_step(10, 5)
    account = books.account()
    assert account.host == account.static == 10 * TRAINING
    assert (books.samples, books.given) == (10, 5)


def test_measuring_and_evaluating_are_paid_for() -> None:
    books = ledger()
    measuring = 8 * (FORWARD + TRAINING)
    assert books.evaluation == measuring
    books.charge_evaluation(100, extra_flops=2.0)
    assert books.evaluation == measuring + 100 * (FORWARD + 2)
    assert books.account().multiple == 1.0  # nothing was trained yet: there is no share


def test_a_grown_model_costs_more_than_the_static_one_from_then_on() -> None:
    books = ledger()
    books.charge_step(10, 10)
    books.remeasure(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4)))
    books.charge_step(10, 10)
    account = books.account()
    assert account.static == 20 * TRAINING
    assert account.host == 10 * TRAINING + 10 * (TRAINING + 3 * 2 * 4 * 4)


def test_gradients_and_weights_of_the_measured_model_stay() -> None:
    model = nn.Linear(3, 4)
    before = model.weight.detach().clone()
    Ledger(model, torch.ones(8, 3), torch.ones(8, 4), F.mse_loss)
    assert model.weight.grad is None
    assert torch.equal(model.weight, before)


def test_saved_books_go_on() -> None:
    first, second = ledger(), ledger()
    first.charge_step(7, 7)
    second.load_state_dict(first.state_dict())
    assert second.account() == first.account()
    assert second.account().total == pytest.approx(7 * TRAINING + first.evaluation)
