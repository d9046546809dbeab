from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

from esper.contracts.errors import RegistryError, UnsupportedLayerError
from esper.execution.conversion import convert, restore
from esper.execution.hosts.host_registry import HOSTS, register_host, supported_hosts


class Gate(nn.Module):
    """Returns a dictionary, and takes its input by name."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width))

    def forward(self, *, scale: float, x: torch.Tensor) -> dict[str, Any]:
        return {"y": scale * self.weight * x, "scale": scale}


register_host(
    Gate,
    kernel_input=lambda layer, args, kwargs: kwargs["x"],
    host_output=lambda layer, output: output["y"],
    rejoin=lambda layer, output, blended: {**(output or {"scale": None}), "y": blended},
)


def test_own_layer_type_hosts_seeds_through_its_hooks() -> None:
    plain, x = Gate(3), torch.randn(2, 3)
    layer = convert(copy.deepcopy(plain), name="gate")
    assert torch.equal(layer.host(scale=2.0, x=x)["y"], plain(scale=2.0, x=x)["y"])
    kernel = nn.Linear(3, 3)
    layer.install(0, kernel, mode="replacing")
    layer.set_alpha(0, 0.5)
    out = layer.host(scale=2.0, x=x)
    assert out["scale"] == 2.0
    assert torch.allclose(out["y"], (plain(scale=2.0, x=x)["y"] + kernel(x)) / 2)
    layer.set_alpha(0, 1.0)
    assert torch.equal(layer.host(scale=2.0, x=x)["y"], kernel(x))


def test_own_layer_type_pickles_and_goes_back() -> None:
    layer, x = convert(Gate(3), name="gate"), torch.randn(2, 3)
    layer.install(0, nn.Linear(3, 3), mode="residual")
    layer.set_alpha(0, 0.5)
    other = pickle.loads(pickle.dumps(layer))
    assert torch.equal(other.host(scale=1.0, x=x)["y"], layer.host(scale=1.0, x=x)["y"])
    other.cull(0)
    assert type(restore(other.host)) is Gate


def test_type_cannot_be_registered_twice() -> None:
    with pytest.raises(RegistryError, match="Gate is registered already"):
        register_host(Gate)
    with pytest.raises(RegistryError, match="Linear"):
        register_host(nn.Linear)


@pytest.mark.parametrize("kind", [nn.Sequential, nn.ModuleList, nn.ModuleDict])
def test_container_cannot_host(kind: type[nn.Module]) -> None:
    with pytest.raises(UnsupportedLayerError, match="is a container"):
        register_host(kind)
    assert kind not in HOSTS


def test_supported_hosts_are_named() -> None:
    assert {"Linear", "Conv2d", "LSTM", "MultiheadAttention"} <= set(supported_hosts())
