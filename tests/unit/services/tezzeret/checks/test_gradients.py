from __future__ import annotations

from collections.abc import Callable

import pytest

from esper.contracts.enums import KernelMode
from esper.services.tezzeret.checks.gradients import alive
from esper.services.tezzeret.checks.subject import CheckFailedError, Subject

Make = Callable[..., Subject]


def test_zeros_in_the_last_layer_are_gone_after_one_step(subject: Make) -> None:
    steps = [("linear", {"out_features": 6}), ("linear", {"out_features": 6, "init": "zero"})]
    assert "all 4" in alive(subject(*steps, mode=KernelMode.RESIDUAL))


def test_parameters_behind_two_layers_of_zeros_are_found_dead(subject: Make) -> None:
    zero = ("linear", {"out_features": 6, "init": "zero", "bias": False})
    with pytest.raises(CheckFailedError, match=r"2 of 2 .*linear_2\.weight"):
        alive(subject(zero, ("relu", {}), zero))


def test_a_kernel_without_parameters_has_none_that_are_dead(subject: Make) -> None:
    assert "all 0" in alive(subject(("relu", {})))
