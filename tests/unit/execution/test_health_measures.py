from __future__ import annotations

import pytest
import torch

from esper.execution.health_measures import (
    ActivationSample,
    effective_rank,
    gradient_snr,
    health_score,
    singular_values,
    strided_sample,
)


def rank(rows: torch.Tensor) -> float:
    return effective_rank(singular_values(rows).tolist())


def test_effective_rank_of_known_spectra() -> None:
    square = torch.linalg.qr(torch.randn(64, 8) - torch.randn(64, 8).mean(0))[0]
    square = square - square.mean(0)
    assert 7.5 < rank(square) <= 8.0
    line = torch.randn(50, 1) @ torch.randn(1, 8)
    assert rank(line) == pytest.approx(1.0, abs=1e-3)
    assert rank(torch.ones(5, 3)) == 0
    assert effective_rank([2.0, 2.0, 0.0]) == pytest.approx(2.0)


def test_singular_values_of_a_broken_output_can_be_taken() -> None:
    assert singular_values(torch.tensor([[torch.nan, 1.0], [0.0, torch.inf]])).isfinite().all()


def test_gradient_snr_is_high_for_a_steady_gradient_and_low_for_noise() -> None:
    noise = torch.randn(8, 1000)
    assert gradient_snr(noise) < 0.6
    assert gradient_snr(noise + 100.0) > 50


def test_constant_units_are_dead() -> None:
    output = torch.randn(16, 4)
    output[:, 1] = 3.0
    sample = ActivationSample.take(output, -1)
    assert sample.dead_ratio() == 0.25
    sample.note_gradient(torch.tensor([[0.0, 1.0, 1.0, 1.0]]).repeat(16, 1))
    assert sample.dead_ratio() == 0.5


def test_unit_axis_says_which_axis_counts_units() -> None:
    assert ActivationSample.take(torch.randn(2, 3, 8, 8), -3).rows.shape == (64, 3)
    assert ActivationSample.take(torch.randn(2, 3, 8, 8), 1).constant.shape == (3,)


def test_samples_are_bounded_and_spread() -> None:
    assert ActivationSample.take(torch.randn(5000, 900), -1).rows.shape[0] <= 64
    sample = strided_sample([torch.arange(1000.0), torch.arange(3.0)], 10)
    assert sample.tolist() == [float(n) for n in (*range(0, 1000, 100), 0, 1, 2)]


@pytest.mark.parametrize(
    ("values", "score"),
    [
        ({}, None),
        ({"gradient_norm": 1.0}, None),
        ({"dead_neuron_ratio": 0.25}, 0.75),
        ({"dead_neuron_ratio": 0.25, "effective_rank": 1.0}, 0.1),
        ({"update_ratio": 1e-3}, 1.0),
        ({"update_ratio": 0.0}, 0.0),
        ({"update_ratio": 100.0}, 0.0),
        ({"dead_neuron_ratio": 0.0, "gradient_norm": float("nan")}, 0.0),
    ],
)
def test_score_is_the_weakest_measured_part(values: dict[str, float], score: float | None) -> None:
    assert health_score(values, full_rank=100.0) == pytest.approx(score)
