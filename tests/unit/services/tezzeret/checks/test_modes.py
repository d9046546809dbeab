from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from typing_extensions import override

from esper.services.tezzeret.checks.modes import modes
from esper.services.tezzeret.checks.subject import CheckFailedError, Subject

Make = Callable[..., Subject]
LINEAR = ("linear", {"out_features": 6})


class Moody(nn.Linear):
    """Returns something else while training, for no stated reason."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) * (2.0 if self.training else 1.0)


class Faulty(Subject):
    @override
    def fresh(self) -> nn.Module:
        return Moody(8, 6)


def test_dropout_and_batch_statistics_are_reasons_to_differ(subject: Make) -> None:
    assert "dropout" in modes(subject(LINEAR, ("dropout", {"p": 0.5})))
    assert "batch statistics" in modes(subject(LINEAR, ("batch_norm1d", {})))
    assert modes(subject(LINEAR)) == "the same bits"


def test_a_difference_without_a_reason_is_found(subject: Make) -> None:
    good = subject(LINEAR)
    with pytest.raises(CheckFailedError, match="neither dropout nor batch statistics"):
        modes(Faulty(blueprint=good.blueprint, ir=good.ir, seed=0))
