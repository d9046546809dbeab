from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from typing_extensions import override

from esper.services.tezzeret.checks.geometry import geometry
from esper.services.tezzeret.checks.subject import CheckFailedError, Subject

Make = Callable[..., Subject]


class Squeezed(nn.Linear):
    """Loses the batch axis of a single sample."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input).squeeze(0)


class Faulty(Subject):
    @override
    def fresh(self) -> nn.Module:
        return Squeezed(8, 6)


def test_every_batch_and_length_is_tried_in_both_modes(subject: Make) -> None:
    said = geometry(subject(("linear", {"out_features": 3}), shape=(None, 4)))
    assert said.startswith("30 calls")


def test_batch_statistics_are_not_asked_of_a_single_sample(subject: Make) -> None:
    assert geometry(subject(("batch_norm1d", {}))).startswith("5 calls")


def test_a_kernel_that_returns_another_shape_is_found(subject: Make) -> None:
    good = subject(("linear", {"out_features": 6}))
    bad = Faulty(blueprint=good.blueprint, ir=good.ir, seed=0)
    with pytest.raises(CheckFailedError, match=r"shape \(6,\), expected \(1, 6\)"):
        geometry(bad)
