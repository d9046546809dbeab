from __future__ import annotations

from collections.abc import Callable

import pytest

from esper.contracts.enums import KernelMode
from esper.services.tezzeret.checks.birth import birth
from esper.services.tezzeret.checks.subject import CheckFailedError, Subject

Make = Callable[..., Subject]
LINEAR = ("linear", {"out_features": 6})
ZERO = ("linear", {"out_features": 6, "init": "zero"})


def test_a_residual_kernel_must_return_exact_zeros(subject: Make) -> None:
    assert birth(subject(LINEAR, ZERO, mode=KernelMode.RESIDUAL)) == "exact zeros"
    with pytest.raises(CheckFailedError, match="newborn residual kernel returns up to"):
        birth(subject(ZERO, LINEAR, mode=KernelMode.RESIDUAL))


def test_a_replacing_kernel_must_not_be_silent(subject: Make) -> None:
    assert birth(subject(LINEAR)) == "not silent"
    with pytest.raises(CheckFailedError, match="nothing but zeros"):
        birth(subject(LINEAR, ZERO))
