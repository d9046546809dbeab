from __future__ import annotations

import pytest
import torch
from torch import nn

from esper.blueprints.geometry import Geometry
from esper.contracts.enums import Layout
from esper.contracts.errors import (
    AlphaError,
    IllegalTransitionError,
    KernelMismatchError,
    SeedIndexError,
)
from esper.contracts.lifecycle import SeedPhase
from esper.execution.conversion import convert
from esper.execution.execution_stats import FailureKind, KernelFailure
from esper.execution.kasmina_layer import KasminaLayer


class Bent(nn.Module):
    """Not foldable: has a nonlinearity."""

    def __init__(self, inputs: int = 6, outputs: int = 5) -> None:
        super().__init__()
        self.map = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.map(x))


def _layer(**options: object) -> KasminaLayer:
    return convert(nn.Linear(6, 5), num_seeds=3, name="enc.fc1", **options)


GEOMETRY = Geometry(host="linear", layout=Layout.FLAT, input_shape=(6,), output_shape=(5,))


@pytest.mark.parametrize("index", [3, -1, 99])
def test_index_outside_the_slots_is_refused_with_the_range(index: int) -> None:
    with pytest.raises(SeedIndexError, match=r"'enc.fc1' .* 3 slot\(s\), 0 to 2"):
        _layer().set_alpha(index, 0.5)


def test_install_leaves_the_seed_training_at_alpha_zero() -> None:
    layer = _layer()
    layer.install(1, Bent(), mode="residual", kernel_id="ab" * 32, label="mlp/small")
    seed = layer.seed(1)
    assert (seed.phase, seed.alpha, seed.label) == (SeedPhase.TRAINING, 0.0, "mlp/small")
    assert layer.live_seeds() == (seed,)
    assert layer.state.lifecycle_states.tolist() == [0, 3, 0]
    assert layer.state.active_kernel_id[1] != 0


def test_install_finishes_a_germinated_and_loading_slot() -> None:
    layer = _layer()
    layer.germinate(0)
    assert layer.seed(0).phase is SeedPhase.ALLOCATED
    layer.begin_loading(0)
    layer.install(0, Bent(), mode="replacing")
    assert layer.seed(0).phase is SeedPhase.TRAINING


def test_install_into_a_taken_slot_changes_nothing() -> None:
    layer, kernel = _layer(), Bent()
    layer.install(0, kernel, mode="replacing")
    with pytest.raises(IllegalTransitionError):
        layer.install(0, Bent(), mode="replacing")
    assert layer.seed(0).kernel is kernel
    assert layer.host.get_submodule("esper_kernels.0") is kernel


def test_kernel_of_the_wrong_shape_is_refused_at_install_and_changes_nothing() -> None:
    layer = _layer(geometry=GEOMETRY)
    for kernel, words in ((Bent(6, 4), r"returns \(2, 4\)"), (Bent(7, 5), "fails on an input")):
        with pytest.raises(KernelMismatchError, match=words):
            layer.install(0, kernel, mode="replacing")
    assert layer.seed(0).phase is SeedPhase.DORMANT
    assert not list(layer.host.children())
    layer.install(0, Bent(), mode="replacing")


def test_probe_leaves_random_state_flags_and_buffers_alone() -> None:
    layer = _layer(geometry=GEOMETRY)
    kernel = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5))
    before = torch.get_rng_state()
    layer.install(0, kernel, mode="replacing")
    assert torch.equal(torch.get_rng_state(), before)
    assert kernel[1].num_batches_tracked == 0
    assert kernel.training


def test_kernel_takes_over_dtype_and_training_flag() -> None:
    layer = _layer()
    layer.host.to(torch.bfloat16).eval()
    kernel = Bent()
    layer.install(0, kernel, mode="replacing")
    assert kernel.map.weight.dtype is torch.bfloat16
    assert not kernel.training
    layer.host.train()
    assert kernel.training


def test_alpha_above_zero_grafts_and_zero_retreats() -> None:
    layer = _layer()
    layer.install(0, Bent(), mode="replacing")
    layer.set_alpha(0, 0.5)
    assert layer.seed(0).phase is SeedPhase.GRAFTING
    assert layer.state.alpha_blend[0] == 0.5
    layer.set_alpha(0, 0.0)
    assert layer.seed(0).phase is SeedPhase.TRAINING
    assert not layer.live


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_bad_alpha_changes_nothing(alpha: float) -> None:
    layer = _layer()
    layer.install(0, Bent(), mode="replacing")
    layer.set_alpha(0, 0.5)
    with pytest.raises(AlphaError, match=r"seed 0 of layer 'enc\.fc1'"):
        layer.set_alpha(0, alpha)
    assert layer.seed(0).alpha == 0.5


def test_illegal_moves_raise_and_change_nothing() -> None:
    layer = _layer()
    for move in (layer.fossilize, layer.cull, layer.isolate, layer.retry, layer.begin_loading):
        with pytest.raises(IllegalTransitionError):
            move(0)
    with pytest.raises(IllegalTransitionError):
        layer.set_alpha(0, 0.5)
    layer.install(0, Bent(), mode="replacing")
    with pytest.raises(IllegalTransitionError):
        layer.fossilize(0)
    layer.set_alpha(0, 1.0)
    layer.fossilize(0)
    for move in (layer.fossilize, layer.cull, layer.isolate):
        with pytest.raises(IllegalTransitionError):
            move(0)
    with pytest.raises(IllegalTransitionError):
        layer.set_alpha(0, 0.5)
    assert (layer.seed(0).phase, layer.seed(0).alpha) == (SeedPhase.FOSSILIZED, 1.0)


def test_replacing_seed_below_alpha_one_cannot_fossilize() -> None:
    layer = _layer()
    layer.install(0, Bent(), mode="replacing")
    layer.set_alpha(0, 0.9)
    with pytest.raises(AlphaError, match=r"alpha is 0\.9"):
        layer.fossilize(0)
    assert layer.seed(0).phase is SeedPhase.GRAFTING
    assert not layer.host_dropped


def struck_out(index: int) -> KernelFailure:
    return KernelFailure(
        seed_index=index,
        kind=FailureKind.RAISED,
        message="boom",
        step=0,
        count=1,
        strikes=3,
        isolated=True,
    )


def test_slot_of_a_culled_seed_remembers_only_its_embargo() -> None:
    layer = _layer()
    layer.install(0, Bent(), mode="residual", kernel_id="ab" * 32, label="x")
    layer.seed(0).strikes = 1
    layer.cull(0, embargo_until=70)
    seed = layer.seed(0)
    assert (seed.phase, seed.kernel, seed.label, seed.strikes) == (SeedPhase.DORMANT, None, "", 0)
    assert seed.embargo_until == 70
    assert layer.state.active_kernel_id[0] == 0


def test_reserved_slot_can_be_culled() -> None:
    layer = _layer()
    layer.germinate(0)
    layer.cull(0)
    assert layer.seed(0).phase is SeedPhase.DORMANT


def test_third_strike_isolates_and_retry_returns_to_training() -> None:
    layer, x = _layer(), torch.randn(4, 6)
    want = layer.host(x)
    layer.install(0, Bent(), mode="replacing")
    layer.set_alpha(0, 0.5)
    layer.on_isolate(struck_out(0))
    seed = layer.seed(0)
    assert (seed.phase, seed.strikes, seed.alpha) == (SeedPhase.ERROR_RECOVERY, 3, 0.0)
    assert torch.equal(layer.host(x), want)
    assert layer.get_layer_stats()["error_seeds"] == 1
    layer.retry(0)
    assert (seed.phase, seed.strikes, seed.alpha) == (SeedPhase.TRAINING, 0, 0.0)
    layer.set_alpha(0, 0.5)
    assert not torch.equal(layer.host(x), want)


def test_replacing_fossil_releases_fossils_that_it_supersedes() -> None:
    layer, x = _layer(), torch.randn(4, 6)
    layer.install(0, Bent(), mode="residual")
    layer.set_alpha(0, 0.5)
    layer.fossilize(0)
    layer.install(1, Bent(), mode="replacing")
    layer.set_alpha(1, 1.0)
    want = layer.host(x)
    layer.fossilize(1)
    assert torch.equal(layer.host(x), want)
    assert all(name.startswith("esper_kernels.1.") for name in layer.host.state_dict())
    layer.install(2, Bent(), mode="residual")
    layer.set_alpha(2, 0.5)
    assert not torch.equal(layer.host(x), want)
    layer.cull(2)
    assert torch.equal(layer.host(x), want)


def test_kernels_fold_in_the_order_in_which_they_began_to_take_part() -> None:
    layer, x = _layer(), torch.randn(4, 6)
    first, second = Bent(), Bent()
    layer.install(0, second, mode="replacing")
    layer.install(1, first, mode="replacing")
    layer.set_alpha(1, 0.5)
    layer.set_alpha(0, 0.25)
    host = layer.host_forward(x)
    want = torch.lerp(torch.lerp(host, first(x), 0.5), second(x), 0.25)
    assert torch.allclose(layer.host(x), want)


def test_linear_kernel_taking_over_a_linear_host_becomes_its_weights() -> None:
    layer, x, kernel = _layer(), torch.randn(4, 6), nn.Linear(6, 5)
    layer.install(0, kernel, mode="replacing")
    layer.set_alpha(0, 1.0)
    want = layer.host(x)
    layer.fossilize(0)
    assert torch.equal(layer.host(x), want)
    assert layer.host.weight is kernel.weight
    assert list(layer.host.state_dict()) == ["weight", "bias"]
    assert (layer.seed(0).phase, layer.seed(0).kernel) == (SeedPhase.FOSSILIZED, None)
    assert not layer.host_dropped
    assert not layer.live


@pytest.mark.parametrize(
    "kernel",
    [
        lambda: nn.Linear(6, 5),
        lambda: nn.Sequential(nn.Linear(6, 2), nn.Identity(), nn.Linear(2, 5, bias=False)),
        lambda: torch.fx.symbolic_trace(nn.Sequential(nn.Linear(6, 2), nn.Linear(2, 5))),
    ],
)
def test_linear_residual_folds_into_the_host(kernel: object) -> None:
    layer, x = _layer(), torch.randn(4, 6)
    weight = layer.host.weight
    layer.install(0, kernel(), mode="residual")
    layer.set_alpha(0, 0.5)
    want = layer.host(x)
    layer.fossilize(0)
    assert torch.allclose(layer.host(x), want, atol=1e-6)
    assert layer.host.weight is weight
    assert list(layer.host.state_dict()) == ["weight", "bias"]


def test_kernel_with_a_bias_does_not_fold_into_a_host_without_one() -> None:
    layer, x = convert(nn.Linear(6, 5, bias=False)), torch.randn(4, 6)
    layer.install(0, nn.Linear(6, 5), mode="residual")
    layer.set_alpha(0, 1.0)
    want = layer.host(x)
    layer.fossilize(0)
    assert torch.equal(layer.host(x), want)
    assert layer.seed(0).kernel is not None


def test_fossil_frees_the_memory_of_the_host() -> None:
    layer = convert(nn.Linear(1000, 1000))
    layer.install(
        0, nn.Sequential(nn.Linear(1000, 1), nn.ReLU(), nn.Linear(1, 1000)), mode="replacing"
    )
    layer.set_alpha(0, 1.0)
    layer.fossilize(0)
    assert layer.host.weight.untyped_storage().nbytes() <= 8
    assert layer.host.weight.shape == (1000, 1000)
    assert layer.host.weight.isnan().all()
    assert (layer.host.in_features, layer.host.out_features) == (1000, 1000)


def test_a_frozen_kernel_takes_part_and_trains_no_further() -> None:
    layer = _layer()
    layer.install(0, Bent(), mode="replacing")
    layer.set_alpha(0, 0.5)
    layer.freeze_kernel(0)
    layer.freeze_kernel(0)
    x = torch.randn(2, 6)
    out = layer.host(x)
    assert not torch.equal(out, layer.host_forward(x))
    out.sum().backward()
    seed = layer.seed(0)
    assert seed.frozen
    assert seed.kernel is not None
    assert all(p.grad is None for p in seed.kernel.parameters())
    assert layer.host.weight.grad is not None
    layer.cull(0)
    layer.install(0, Bent(), mode="replacing")
    assert not layer.seed(0).frozen
    assert all(p.requires_grad for p in layer.seed(0).kernel.parameters())


def test_a_slot_without_a_kernel_of_its_own_cannot_be_frozen() -> None:
    with pytest.raises(IllegalTransitionError, match=r"no kernel to freeze in seed 1 of 'enc.fc1'"):
        _layer().freeze_kernel(1)


def test_a_frozen_kernel_is_not_folded_into_weights_that_train() -> None:
    layer = _layer()
    layer.install(0, nn.Linear(6, 5), mode="residual")
    layer.set_alpha(0, 1.0)
    layer.freeze_kernel(0)
    before = layer.host.weight.detach().clone()
    layer.fossilize(0)
    assert layer.seed(0).kernel is not None
    assert torch.equal(layer.host.weight, before)
