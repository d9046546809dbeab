from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from esper.contracts.errors import ConfigError, UnsupportedLayerError
from esper.execution.conversion import convert, is_host, restore
from esper.execution.hosts.host_registry import register_host


class Scaled(nn.Linear):
    """A subclass with a forward of its own."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 3.0 * super().forward(input)


class Named(nn.Linear):
    """Uses names that a KasminaLayer has too."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.name, self.state, self.live, self.executor = "mine", 3, (), None

    def seeds(self) -> int:
        return 7


class Taken(nn.Linear):
    def __init__(self) -> None:
        super().__init__(2, 2)
        self._esper = "mine"


def test_subclass_of_a_host_keeps_its_own_forward() -> None:
    torch.manual_seed(0)
    plain, x = Scaled(3, 3), torch.randn(2, 3)
    layer = convert(copy.deepcopy(plain))
    assert isinstance(layer.host, Scaled)
    assert torch.equal(layer.host(x), plain(x))
    layer.install(0, nn.Sequential(nn.Linear(3, 3), nn.Tanh()), mode="residual")
    layer.set_alpha(0, 0.5)
    assert torch.allclose(layer.host(x), plain(x) + 0.5 * layer.seed(0).kernel(x))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(other.host) is type(layer.host)
        assert torch.equal(other.host(x), layer.host(x))
        other.cull(0)
        assert torch.equal(restore(other.host)(x), plain(x))
        assert type(other.host) is Scaled


def test_linear_kernel_is_not_folded_into_a_subclass() -> None:
    layer, x = convert(Scaled(3, 3)), torch.randn(2, 3)
    layer.install(0, nn.Linear(3, 3), mode="residual")
    layer.set_alpha(0, 0.5)
    want = layer.host(x)
    layer.fossilize(0)
    assert torch.equal(layer.host(x), want)
    assert layer.seed(0).kernel is not None


def test_unsupported_type_is_refused_with_what_is_supported() -> None:
    assert not is_host(nn.ReLU())
    with pytest.raises(UnsupportedLayerError, match=r"'act' of type ReLU .* Linear.*register_host"):
        convert(nn.ReLU(), name="act")


def test_layer_is_not_converted_twice() -> None:
    layer = convert(nn.Linear(2, 2), name="fc")
    with pytest.raises(UnsupportedLayerError, match="already"):
        convert(layer.host, name="fc")


def test_layer_needs_a_seed() -> None:
    with pytest.raises(ConfigError, match="num_seeds of layer 'fc' is 0"):
        convert(nn.Linear(2, 2), num_seeds=0, name="fc")


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_lazy_layer_is_refused_until_it_has_weights() -> None:
    with pytest.raises(UnsupportedLayerError, match="lazy"):
        convert(nn.LazyLinear(3), name="fc")


def test_layer_may_use_any_name_of_its_own() -> None:
    module, x = Named(), torch.randn(2, 2)
    layer = convert(module, name="fc")
    layer.install(0, nn.Sequential(nn.Linear(2, 2), nn.Tanh()), mode="replacing")
    layer.set_alpha(0, 1.0)
    assert torch.equal(module(x), layer.seed(0).kernel(x))
    layer.fossilize(0)
    assert (module.name, module.state, module.live, module.executor) == ("mine", 3, (), None)
    assert module.seeds() == 7


def test_layer_with_an_attribute_where_ours_would_be_is_refused_and_left_alone() -> None:
    module = Taken()
    with pytest.raises(UnsupportedLayerError, match="has an attribute '_esper'"):
        convert(module, name="fc")
    assert type(module) is Taken
    assert module._esper == "mine"


def test_grown_layer_cannot_be_restored() -> None:
    layer = convert(nn.Linear(2, 2), name="fc")
    layer.install(0, nn.Linear(2, 2), mode="residual")
    with pytest.raises(UnsupportedLayerError, match="has grown"):
        restore(layer.host)


def test_parametrized_layer_can_host() -> None:
    plain, x = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), torch.randn(2, 3)
    layer = convert(copy.deepcopy(plain))
    assert torch.equal(layer.host(x), plain(x))
    layer.install(0, nn.Sequential(nn.Linear(3, 3), nn.Tanh()), mode="replacing")
    layer.set_alpha(0, 1.0)
    layer.fossilize(0)
    assert all(name.startswith("esper_kernels") for name, _ in layer.host.named_parameters())
    assert layer.host(x).isfinite().all()


class Unmeasured(nn.Module):
    """A host type whose geometry cannot be told."""


def test_layer_whose_geometry_raises_is_left_alone() -> None:
    def geometry(module: nn.Module) -> None:
        raise RuntimeError(f"{type(module).__name__} has no width")

    register_host(Unmeasured, geometry=geometry)
    module = Unmeasured()
    with pytest.raises(RuntimeError, match="Unmeasured has no width"):
        convert(module, name="own")
    assert type(module) is Unmeasured
    assert "_esper" not in vars(module)
