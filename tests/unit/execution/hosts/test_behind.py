"""Kernels behind a module: what they see, what they add, and that nothing is left of them."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from esper.contracts.errors import KernelMismatchError, UnsupportedLayerError
from esper.contracts.lifecycle import SeedPhase
from esper.execution.conversion import convert, restore
from esper.execution.kasmina_layer import KasminaLayer, kasmina_layers


class Block(nn.Module):
    """A block of a user's own, with a second argument."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(4, 4)

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        return x + scale * torch.tanh(self.map(x))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def behind(module: nn.Module) -> KasminaLayer:
    return convert(module, name="block+", behind=True)


@pytest.mark.parametrize("make", [Block, nn.ReLU, lambda: nn.Linear(4, 4), lambda: nn.LayerNorm(4)])
def test_a_kernel_maps_what_the_module_returns_and_is_added_to_it(make: object) -> None:
    module, x, kernel = make(), torch.randn(3, 4), nn.Linear(4, 4)
    before = module(x)
    layer = behind(module)
    layer.install(0, kernel, mode="residual")
    assert torch.equal(module(x), before)
    layer.set_alpha(0, 0.5)
    assert torch.allclose(module(x), before + 0.5 * kernel(before))
    layer.fossilize(0)
    assert layer.seed(0).phase is SeedPhase.FOSSILIZED
    assert torch.allclose(module(x), before + 0.5 * kernel(before))
    assert not layer.host_dropped


def test_kernels_in_a_layer_come_before_those_behind_it() -> None:
    module, x = nn.Linear(4, 4), torch.randn(3, 4)
    inside, after = convert(module, name="fc"), behind(module)
    first, second = nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.Linear(4, 4)
    after.install(0, second, mode="residual")
    after.set_alpha(0, 1.0)
    inside.install(0, first, mode="replacing")
    inside.set_alpha(0, 1.0)
    inside.fossilize(0)
    assert torch.allclose(module(x), first(x) + second(first(x)))
    assert {name.split(".")[0] for name, _ in module.named_parameters()} == {
        "esper_kernels",
        "esper_behind",
    }
    assert list(kasmina_layers(nn.Sequential(module))) == ["0", "0+"]


def test_a_cull_leaves_nothing_and_the_module_goes_back_to_its_own_class() -> None:
    module, x = Block(), torch.randn(3, 4)
    before, attributes = module(x), set(vars(module))
    layer = behind(module)
    layer.install(0, nn.Linear(4, 4), mode="residual")
    layer.set_alpha(0, 1.0)
    with pytest.raises(UnsupportedLayerError, match=r"'block\+' has grown"):
        restore(module)
    layer.cull(0)
    assert torch.equal(module(x), before)
    assert [name for name, _ in module.named_parameters()] == ["map.weight", "map.bias"]
    assert not module._forward_hooks
    restore(module)
    assert type(module) is Block
    assert set(vars(module)) == attributes


def test_arguments_reach_the_module_and_copies_compute_the_same() -> None:
    module, x, kernel = Block(), torch.randn(3, 4), nn.Linear(4, 4)
    plain = copy.deepcopy(module)
    layer = behind(module)
    layer.install(0, kernel, mode="residual")
    layer.set_alpha(0, 0.25)
    want = plain(x, scale=3.0) + 0.25 * kernel(plain(x, scale=3.0))
    for other in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.allclose(other(x, scale=3.0), want)


def test_a_kernel_behind_a_module_cannot_take_its_place() -> None:
    layer = behind(nn.ReLU())
    with pytest.raises(KernelMismatchError, match=r"'block\+' stands behind .* in 'block' itself"):
        layer.install(0, nn.Linear(4, 4), mode="replacing")
    assert layer.seed(0).phase is SeedPhase.DORMANT


def test_an_output_that_is_no_tensor_is_refused_in_words() -> None:
    module = Pair()
    layer = behind(module)
    layer.install(0, nn.Linear(4, 4), mode="residual")
    module(torch.randn(3, 4))
    layer.set_alpha(0, 0.5)
    with pytest.raises(KernelMismatchError, match=r"before 'block\+' returned a tuple"):
        module(torch.randn(3, 4))


def test_a_kernel_follows_a_module_without_weights_to_its_device_and_dtype() -> None:
    module = nn.ReLU()
    layer = convert(module, name="act+", behind=True, like=torch.zeros(1, dtype=torch.float64))
    layer.install(0, nn.Linear(4, 4), mode="residual")
    layer.set_alpha(0, 0.5)
    assert module(torch.randn(3, 4, dtype=torch.float64)).dtype is torch.float64
    module.to(torch.bfloat16)
    layer.install(1, nn.Linear(4, 4), mode="residual")
    layer.set_alpha(1, 0.5)
    assert module(torch.randn(3, 4, dtype=torch.bfloat16)).dtype is torch.bfloat16


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_a_compiled_model_has_no_graph_break_and_a_change_of_alpha_recompiles_nothing() -> None:
    torch._dynamo.reset()
    net, x = nn.Sequential(Block(), nn.ReLU()), torch.randn(3, 4)
    layer = behind(net[0])
    layer.install(0, nn.Linear(4, 4), mode="residual")
    counter = CompileCounter()
    compiled = torch.compile(net, backend=counter, fullgraph=True)
    for alpha in (0.2, 0.7, 1.0):
        layer.set_alpha(0, alpha)
        assert torch.allclose(compiled(x), net(x), atol=1e-6)
    assert counter.frame_count == 1
