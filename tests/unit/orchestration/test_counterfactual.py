"""Held-out evidence: per-sample losses, one temperature, the paired bootstrap."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esper.contracts.errors import ConfigError
from esper.orchestration.counterfactual import GrowthSplit, HeldOut, SampleLoss, compare


def batch(n: int = 64, classes: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, classes, generator=generator)
    y = (x + 0.7 * torch.randn(n, classes, generator=generator)).argmax(dim=1)
    return x, y


def sequence_loss(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output.flatten(0, 1), target.flatten())


@pytest.mark.parametrize(
    "loss_fn",
    [F.cross_entropy, nn.CrossEntropyLoss(), partial(F.cross_entropy, label_smoothing=0.1)],
)
def test_sample_losses_average_to_the_users_loss(loss_fn: nn.Module) -> None:
    x, y = batch()
    losses = SampleLoss(loss_fn)(x, y)
    assert losses.shape == (64,)
    assert float(losses.mean()) == pytest.approx(float(loss_fn(x, y)), abs=1e-6)


def test_a_loss_over_positions_counts_a_sequence_as_one_sample() -> None:
    output = torch.randn(6, 9, 4, generator=torch.Generator().manual_seed(1))
    target = torch.randint(4, (6, 9), generator=torch.Generator().manual_seed(2))
    losses = SampleLoss(sequence_loss)(output, target)
    assert losses.shape == (6,)
    assert float(losses.mean()) == pytest.approx(float(sequence_loss(output, target)), abs=1e-6)


def test_the_best_temperature_undoes_a_wrong_scale() -> None:
    x, y = batch(512)
    loss = SampleLoss(F.cross_entropy)
    plain, t_plain = loss.calibrated(x, y)
    loud, t_loud = loss.calibrated(10 * x, y)
    assert t_loud / t_plain == pytest.approx(10, rel=1e-2)
    torch.testing.assert_close(plain, loud, atol=1e-3, rtol=1e-3)
    assert float(plain.mean()) <= float(F.cross_entropy(x, y)) + 1e-6


def test_regression_is_not_calibrated() -> None:
    x = torch.randn(30, 1, generator=torch.Generator().manual_seed(0))
    losses, temperature = SampleLoss(F.mse_loss).calibrated(x, 2 * x)
    assert temperature == 1.0
    torch.testing.assert_close(losses, (x**2).flatten())


def test_measuring_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 5))
    model[1].eval()  # a user who froze one batch norm wants it frozen afterwards
    state = {k: v.clone() for k, v in model.state_dict().items()}
    before = torch.get_rng_state()
    split = GrowthSplit(
        [batch()], F.cross_entropy, metric=lambda o, y: (o.argmax(1) == y).float().mean()
    )
    held_out = split.measure(model)
    assert [m.training for m in model] == [True, False, True, True]
    assert torch.equal(before, torch.get_rng_state())
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])
    assert held_out.metric is not None
    assert 0 <= held_out.metric <= 1


def test_growth_data_that_cannot_serve_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"5 samples.*at least 20"):
        GrowthSplit([batch(5)], F.cross_entropy)
    with pytest.raises(ConfigError, match=r"yields Tensor.*\(x, y\)"):
        GrowthSplit([torch.zeros(3)], F.cross_entropy)


def held(losses: Tensor) -> HeldOut:
    return HeldOut(losses, 1.0, None, float(losses.mean()))


def test_a_real_gain_has_an_interval_above_zero() -> None:
    noise = torch.rand(400, generator=torch.Generator().manual_seed(0))
    evidence = compare(held(1 + noise), held(0.8 + noise), seed=0)
    assert evidence.gain == pytest.approx(0.2 / float((1 + noise).mean()), rel=1e-4)
    assert 0 < evidence.ci_low <= evidence.gain <= evidence.ci_high + 1e-9


def test_no_gain_has_an_interval_around_zero() -> None:
    generator = torch.Generator().manual_seed(3)
    a, b = torch.rand(400, generator=generator), torch.rand(400, generator=generator)
    evidence = compare(held(a), held(b), seed=0)
    assert evidence.ci_low < 0 < evidence.ci_high


def test_the_same_seed_gives_the_same_interval() -> None:
    generator = torch.Generator().manual_seed(3)
    a, b = torch.rand(50, generator=generator), torch.rand(50, generator=generator)
    first = compare(held(a), held(b), seed=9)
    assert first == compare(held(a), held(b), seed=9)
    assert first != compare(held(a), held(b), seed=10)


def test_structured_outputs_count_a_batch_as_a_sample() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(5, 5)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"logits": self.linear(x)}

    def loss_fn(output: dict[str, Tensor], target: Tensor) -> Tensor:
        return F.cross_entropy(output["logits"], target)

    split = GrowthSplit([batch(4) for _ in range(25)], loss_fn)
    assert split.measure(Model()).losses.shape == (25,)
    few = GrowthSplit([batch(16) for _ in range(3)], loss_fn)
    with pytest.raises(ConfigError, match="3 batches are too few"):
        few.measure(Model())


def test_a_loss_that_is_not_finite_is_seen() -> None:
    split = GrowthSplit([batch()], F.cross_entropy)
    model = nn.Linear(5, 5)
    nn.init.constant_(model.weight, math.nan)
    assert not math.isfinite(split.measure(model).loss)
