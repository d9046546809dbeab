"""MorphableModel: optimizers follow every change, and changes happen whole or not at all."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn

from esper.contracts.enums import KernelMode
from esper.contracts.errors import AlphaError, OptimizerError
from esper.contracts.lifecycle import SeedPhase
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.core.optimizer import group_of
from esper.execution.kernel_store import LocalKernelStore
from unit.core.morphable import kernel_file, make_net

# With optimizers ------------------------------------------------------------------------------------


def test_an_attached_optimizer_follows_every_change(
    model: MorphableModel, store: LocalKernelStore, x: torch.Tensor
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model.attach_optimizer(optimizer, lr=0.5)
    model(x).sum().backward()
    optimizer.step()
    held = {p: dict(optimizer.state[p]) for p in model.parameters()}
    model.load_kernel_sync("0", 0, store.put(kernel_file()))
    kernel = model.layer("0").seed(0).kernel
    assert kernel is not None
    group = group_of(optimizer, next(kernel.parameters()))
    assert group is not None
    assert group["lr"] == 0.5
    assert set(group["params"]) == set(kernel.parameters())
    for parameter, state in held.items():
        assert all(optimizer.state[parameter][key] is value for key, value in state.items())

    model.set_seed_alpha("0", 0, 1.0)
    host = [p for n, p in model.named_parameters() if n in {"0.weight", "0.bias"}]
    model.fossilize("0", 0)
    inside = [p for g in optimizer.param_groups for p in g["params"]]
    assert set(inside) == set(model.parameters())
    assert not any(p in optimizer.state for p in host)
    model(x).sum().backward()
    optimizer.step()


def test_a_kernel_joins_the_optimizer_of_its_host(store: LocalKernelStore, x: torch.Tensor) -> None:
    model = wrap(make_net(), example_input=x, kernel_source=store)
    named = dict(model.named_parameters())
    first = torch.optim.SGD([named["2.weight"]], lr=0.1)
    second = torch.optim.SGD([named["0.weight"]], lr=0.1)
    model.attach_optimizer(first)
    model.attach_optimizer(second)
    model.load_kernel_sync("0", 0, store.put(kernel_file()))
    assert (len(first.param_groups), len(second.param_groups)) == (1, 2)
    model.detach_optimizer(second)
    model.unload_kernel_sync("0", 0)
    assert len(second.param_groups) == 2


def test_a_scheduler_goes_on_with_the_groups_that_it_knew(
    model: MorphableModel, store: LocalKernelStore
) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=10)
    model.attach_optimizer(optimizer, scheduler=scheduler, lr=0.7)
    model.load_kernel_sync("0", 0, store.put(kernel_file()))
    for _ in range(4):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[1]["lr"] == 0.7


def test_an_optimizer_that_cannot_follow_undoes_the_change(
    model: MorphableModel, store: LocalKernelStore, x: torch.Tensor
) -> None:
    optimizer = torch.optim.LBFGS(model.parameters())
    model.attach_optimizer(optimizer)
    names, output = list(model.state_dict()), model.eval()(x)
    with pytest.raises(OptimizerError, match=r"LBFGS"):
        model.load_kernel_sync("0", 0, store.put(kernel_file()))
    assert list(model.state_dict()) == names
    assert model.layer("0").seed(0).phase is SeedPhase.DORMANT
    assert torch.equal(model(x), output)


def test_attaching_refuses_what_is_no_optimizer_and_unknown_options(model: MorphableModel) -> None:
    with pytest.raises(OptimizerError, match=r"Sequential is not"):
        model.attach_optimizer(make_net())  # type: ignore[arg-type]
    with pytest.raises(OptimizerError, match=r"SGD has no option betas"):
        model.attach_optimizer(torch.optim.SGD(model.parameters(), lr=0.1), betas=(0.9, 0.9))


# At the step boundary -----------------------------------------------------------------------------


def test_pending_changes_are_made_together(model: MorphableModel, store: LocalKernelStore) -> None:
    kernel_id = store.put(kernel_file())
    model.request(lambda m: m.load_kernel_sync("0", 0, kernel_id))
    model.request(lambda m: m.set_seed_alpha("0", 0, 0.25))
    assert not model.morphogenetic_active
    assert model.apply_pending() == 2
    assert model.layer("0").seed(0).alpha == 0.25
    assert model.apply_pending() == 0


@pytest.mark.parametrize("mode", list(KernelMode))
def test_if_one_pending_change_fails_none_is_made(
    model: MorphableModel, store: LocalKernelStore, x: torch.Tensor, mode: KernelMode
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model.attach_optimizer(optimizer)
    model.load_kernel_sync("0", 0, store.put(kernel_file(mode)))
    model.set_seed_alpha("0", 0, 1.0)
    model(x).sum().backward()
    optimizer.step()
    weights = {n: t.clone() for n, t in model.state_dict().items()}
    output, seeds = model.eval()(x), model.get_layer_stats("0")["seeds"]
    state = [(p, dict(optimizer.state[p])) for g in optimizer.param_groups for p in g["params"]]
    groups = [list(g["params"]) for g in optimizer.param_groups]

    second = store.put(kernel_file(inputs=8, outputs=4))
    model.request(lambda m: m.fossilize("0", 0))
    model.request(lambda m: m.load_kernel_sync("2", 1, second))
    model.request(lambda m: m.set_seed_alpha("2", 1, 7.0))
    with pytest.raises(AlphaError):
        model.apply_pending()

    assert model.get_layer_stats("0")["seeds"] == seeds
    assert model.layer("2").seed(1).phase is SeedPhase.DORMANT
    assert not model.layer("0").host_dropped
    assert list(model.state_dict()) == list(weights)
    assert all(torch.equal(t, weights[n]) for n, t in model.state_dict().items())
    assert [list(g["params"]) for g in optimizer.param_groups] == groups
    for parameter, values in state:
        assert all(optimizer.state[parameter][key] is value for key, value in values.items())
    assert torch.equal(model(x), output)
    assert model.apply_pending() == 0
    model.train()(x).sum().backward()
    optimizer.step()


class Sick(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.full((len(x), 8), torch.nan)


def test_a_sick_kernel_is_bypassed_counted_and_isolated(
    model: MorphableModel, x: torch.Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    host = model.eval()(x)
    model.install_kernel("0", 0, Sick(), mode=KernelMode.REPLACING)
    model.set_seed_alpha("0", 0, 0.5)
    for _ in range(3):
        assert torch.equal(model(x), host)
        model.apply_pending()
    assert model.layer("0").seed(0).phase is SeedPhase.ERROR_RECOVERY
    assert model.layer("0").seed(0).strikes == 3
    assert caplog.text.count("bypassed") == 3
    twin = pickle.loads(pickle.dumps(model))
    assert twin.layer("0").seed(0).phase is SeedPhase.ERROR_RECOVERY
    assert model.unload_kernel_sync("0", 0)


def test_a_freeze_is_undone_with_the_changes_that_it_was_requested_with(
    model: MorphableModel, store: LocalKernelStore
) -> None:
    model.load_kernel_sync("0", 0, store.put(kernel_file()))
    model.request(lambda m: m.freeze("0", 0))
    model.request(lambda m: m.set_seed_alpha("0", 0, 2.0))
    with pytest.raises(AlphaError):
        model.apply_pending()
    seed = model.layer("0").seed(0)
    assert seed.kernel is not None
    assert not seed.frozen
    assert all(p.requires_grad for p in seed.kernel.parameters())
