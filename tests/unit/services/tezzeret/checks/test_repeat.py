from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from typing_extensions import override

from esper.services.tezzeret.checks.repeat import repeats
from esper.services.tezzeret.checks.subject import CheckFailedError, Subject

Make = Callable[..., Subject]
LINEAR = ("linear", {"out_features": 6})


class Unsteady(nn.Linear):
    """Draws in evaluation too."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) + torch.rand(1)


class Drawn(Subject):
    """Is born with other weights each time."""

    @override
    def fresh(self) -> nn.Module:
        return nn.Linear(8, 6)


class Wavering(Subject):
    @override
    def fresh(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return Unsteady(8, 6)


def test_dropout_repeats_from_the_same_random_state(subject: Make) -> None:
    assert repeats(subject(LINEAR, ("dropout", {"p": 0.5}), LINEAR))


@pytest.mark.parametrize(("kind", "how"), [(Drawn, "born"), (Wavering, "run")])
def test_a_kernel_that_differs_is_found(subject: Make, kind: type[Subject], how: str) -> None:
    good = subject(LINEAR)
    with pytest.raises(CheckFailedError, match=f"{how} twice"):
        repeats(kind(blueprint=good.blueprint, ir=good.ir, seed=0))
