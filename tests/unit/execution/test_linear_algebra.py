from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx, nn

from esper.execution.linear_algebra import affine_map


def chain(*biases: bool) -> nn.Sequential:
    sizes = [3, 5, 4, 2][: len(biases) + 1]
    layers = [
        nn.Linear(a, b, bias=bias) for a, b, bias in zip(sizes, sizes[1:], biases, strict=False)
    ]
    return nn.Sequential(*layers).double()


@pytest.mark.parametrize(
    "biases",
    [(True, True, True), (True, False), (False, True), (False, False), (False, False, True)],
)
def test_a_chain_of_layers_is_one_map(biases: tuple[bool, ...]) -> None:
    kernel, x = chain(*biases), torch.randn(7, 3, dtype=torch.float64)
    found = affine_map(kernel)
    assert found is not None
    assert (found.bias is None) == (True not in biases)
    mapped = x @ found.weight.T + (0 if found.bias is None else found.bias)
    assert torch.allclose(mapped, kernel(x), atol=1e-12)
    assert found.single is None


def test_identities_and_nesting_change_nothing() -> None:
    layer = nn.Linear(3, 2)
    found = affine_map(nn.Sequential(nn.Identity(), nn.Sequential(layer)))
    assert found is not None
    assert found.single is layer


def test_a_traced_chain_is_known_and_one_that_branches_is_not() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.one(x)

    straight = affine_map(fx.symbolic_trace(chain(True, True)))
    assert straight is not None
    assert straight.weight.shape == (4, 3)
    assert affine_map(fx.symbolic_trace(Branching())) is None


@pytest.mark.parametrize(
    "kernel", [nn.Identity(), nn.Sequential(), nn.ReLU(), nn.Sequential(nn.Linear(3, 3), nn.ReLU())]
)
def test_anything_else_is_not_known(kernel: nn.Module) -> None:
    assert affine_map(kernel) is None


def test_a_subclass_may_compute_something_else_and_is_not_known() -> None:
    class Own(nn.Linear):
        pass

    assert affine_map(Own(2, 2)) is None


def test_adding_a_map_scales_it_and_rounds_once() -> None:
    host, kernel = nn.Linear(3, 2), nn.Linear(3, 2)
    weight = (host.weight.double() + 0.3 * kernel.weight.double()).float()
    bias = (host.bias.double() + 0.3 * kernel.bias.double()).float()
    found = affine_map(kernel)
    assert found is not None
    found.add_to(host, 0.3)
    assert torch.equal(host.weight, weight)
    assert torch.equal(host.bias, bias)
