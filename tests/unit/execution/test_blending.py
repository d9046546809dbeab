from __future__ import annotations

import math

import pytest
import torch

from esper.contracts.enums import KernelMode
from esper.contracts.errors import AlphaError
from esper.execution.blending import blend, checked_alpha

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_replacing_blend_is_exact_at_both_ends(dtype: torch.dtype) -> None:
    base, kernel = torch.randn(100, dtype=dtype) * 1e3, torch.randn(100, dtype=dtype)
    for alpha, want in ((0.0, base), (1.0, kernel)):
        weight = torch.tensor(alpha, dtype=torch.float16)
        assert torch.equal(blend(base, kernel, weight, KernelMode.REPLACING), want)


def test_residual_blend_adds_alpha_times_the_kernel() -> None:
    base, kernel = torch.randn(3, 4), torch.randn(3, 4)
    got = blend(base, kernel, torch.tensor(0.25), KernelMode.RESIDUAL)
    assert torch.allclose(got, base + 0.25 * kernel)


def test_blend_keeps_the_dtype_of_the_base() -> None:
    base, kernel = torch.zeros(3, dtype=torch.bfloat16), torch.ones(3)
    for mode in KernelMode:
        assert blend(base, kernel, torch.tensor(0.5), mode).dtype is torch.bfloat16


@pytest.mark.parametrize("alpha", [-0.01, 1.01, math.nan, math.inf, "much", None])
def test_alpha_outside_its_range_is_refused_by_name_and_value(alpha: object) -> None:
    with pytest.raises(AlphaError, match=r"seed 2 of layer 'fc' is .* from 0.0"):
        checked_alpha(alpha, "seed 2 of layer 'fc'")


@pytest.mark.parametrize("alpha", [0, 0.5, 1, True])
def test_alpha_in_its_range_becomes_a_float(alpha: float) -> None:
    assert checked_alpha(alpha, "x") == float(alpha)
