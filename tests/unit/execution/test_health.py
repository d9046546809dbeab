from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

from esper.execution.conversion import convert
from esper.execution.health import HealthProbe


def _model() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    convert(model[0], name="0")
    convert(model[2], name="2")
    return model


def _step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.randn(32, 6)).square().mean().backward()
    optimizer.step()


def test_armed_step_is_measured_and_nothing_stays_behind() -> None:
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ticks = itertools.count(step=0.001)
    probe = HealthProbe(model, clock=lambda: float(next(ticks)))
    probe.arm()
    assert probe.armed
    _step(model, optimizer)
    first, second = probe.read(optimizer, step=7)
    assert not probe.armed
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert (first.layer_name, second.layer_name, first.layer_id, second.layer_id) == (
        "0",
        "2",
        0,
        1,
    )
    assert first.step == 7
    assert first.execution_latency == pytest.approx(1000.0)
    assert first.activation_variance > 0
    assert first.dead_neuron_ratio == 0
    assert 1 < first.effective_rank <= 8
    assert first.gradient_norm > 0
    assert first.gradient_snr is None, "one step has no spread"
    assert 0 < first.update_ratio < 1
    assert 0 < first.health_score <= 1


def test_gradient_norm_and_update_ratio_are_exact() -> None:
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = HealthProbe(model)
    probe.arm()
    before = torch.cat([p.detach().flatten().clone() for p in model[0].parameters()])
    _step(model, optimizer)
    gradient = torch.cat([p.grad.flatten() for p in model[0].parameters()])
    signal = probe.read(optimizer)[0]
    assert signal.gradient_norm == pytest.approx(gradient.norm().item())
    assert signal.update_ratio == pytest.approx((0.1 * gradient.norm() / before.norm()).item())


def test_signal_to_noise_ratio_comes_with_the_second_sample() -> None:
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    probe = HealthProbe(model)
    ratios = []
    for _ in range(3):
        probe.arm()
        _step(model, optimizer)
        ratios.append(probe.read(optimizer)[0].gradient_snr)
    assert ratios[0] is None
    assert ratios[1] > 0
    assert ratios[2] > 0


def test_what_was_not_measured_is_none() -> None:
    model = _model()
    probe = HealthProbe(model)
    probe.arm()
    unseen = probe.read()[0]
    assert (unseen.activation_variance, unseen.health_score, unseen.execution_latency) == (
        None,
    ) * 3
    assert (unseen.gradient_norm, unseen.update_ratio, unseen.effective_rank) == (None,) * 3
    probe.arm()
    model(torch.randn(4, 6))
    forward_only = probe.read()[0]
    assert forward_only.activation_variance is not None
    assert (forward_only.gradient_norm, forward_only.update_ratio) == (None, None)


def test_units_behind_a_closed_rectifier_are_dead() -> None:
    model = _model()
    with torch.no_grad():
        model[0].bias[:4] = -1e3
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = HealthProbe(model)
    probe.arm()
    _step(model, optimizer)
    assert probe.read(optimizer)[0].dead_neuron_ratio == 0.5


def test_non_finite_output_is_reported_as_such() -> None:
    model = _model()
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    probe = HealthProbe(model)
    probe.arm()
    model(torch.randn(4, 6))
    signal = probe.read()[0]
    assert not signal.finite
    assert signal.activation_variance is None
    assert signal.health_score == 0.0


def test_armed_run_is_bit_identical_to_an_unobserved_one() -> None:
    seen, unseen = _model(), _model()
    states = []
    for model in (seen, unseen):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        probe = HealthProbe(model)
        torch.manual_seed(3)
        for _ in range(5):
            if model is seen:
                probe.arm()
            _step(model, optimizer)
            if model is seen:
                probe.read(optimizer)
        states.append((copy.deepcopy(model.state_dict()), torch.get_rng_state()))
    assert torch.equal(states[0][1], states[1][1])
    assert all(torch.equal(states[0][0][k], states[1][0][k]) for k in states[0][0])


def test_layer_without_telemetry_is_left_out() -> None:
    model = _model()
    model[0]._esper.inside.telemetry_enabled = False
    probe = HealthProbe(model)
    probe.arm()
    assert [signal.layer_name for signal in probe.read()] == ["2"]


def test_health_of_a_live_seed_is_written_to_the_state() -> None:
    model = _model()
    model[0]._esper.inside.install(1, nn.Linear(6, 8), mode="residual")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = HealthProbe(model)
    probe.arm()
    _step(model, optimizer)
    score = probe.read(optimizer)[0].health_score
    assert model[0]._esper.inside.state.health_accumulator[1].item() == pytest.approx(score)
    assert model[0]._esper.inside.state.health_accumulator[0].isnan()


def test_probe_follows_a_layer_that_grew_between_samples() -> None:
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = HealthProbe(model)
    for grown in (False, True):
        if grown:
            model[0]._esper.inside.install(0, nn.Linear(6, 8), mode="residual")
            model[0]._esper.inside.set_alpha(0, 0.5)
        probe.arm()
        _step(model, optimizer)
        signal = probe.read(optimizer)[0]
    assert signal.gradient_snr is None
    assert signal.finite


@pytest.mark.parametrize("kind", ["conv", "lstm", "attention"])
def test_units_are_channels_or_features_of_the_main_output(kind: str) -> None:
    layer, args = {
        "conv": lambda: (nn.Conv2d(3, 4, 3), (torch.randn(2, 3, 8, 8),)),
        "lstm": lambda: (nn.LSTM(3, 4), (torch.randn(5, 2, 3),)),
        "attention": lambda: (nn.MultiheadAttention(4, 2), (torch.randn(5, 2, 4),) * 3),
    }[kind]()
    convert(layer, name=kind)
    probe = HealthProbe(layer)
    probe.arm()
    layer(*args)
    signal = probe.read()[0]
    assert 1 < signal.effective_rank <= 4
