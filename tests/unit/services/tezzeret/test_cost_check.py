from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from typing_extensions import override

from esper.services.tezzeret.cost_check import measure, peak_bytes, predicted_bytes
from esper.services.tezzeret.proof_subject import CheckFailedError, Subject

Make = Callable[..., Subject]
LINEAR = ("linear", {"out_features": 6})


class Hungry(nn.Linear):
    """Takes far more memory than its graph says."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        out = super().forward(input)
        wide = out.unsqueeze(-1).expand(*out.shape, 500).clone()
        return wide.mean(-1)


class Busy(nn.Linear):
    """Computes twice."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) + super().forward(input)


def faulty(good: Subject, module: Callable[[], nn.Module]) -> Subject:
    class Faulty(Subject):
        @override
        def fresh(self) -> nn.Module:
            return module()

    return Faulty(blueprint=good.blueprint, ir=good.ir, seed=0)


def test_cost_is_counted_on_the_module_and_agrees_with_the_graph(subject: Make) -> None:
    found = measure(subject(LINEAR, ("relu", {}), LINEAR))
    assert found.parameters == 9 * 6 + 7 * 6
    assert found.flops == 2 * (8 * 6 + 6 * 6)
    assert found.peak_bytes > 4 * found.parameters


def test_memory_is_the_same_each_time(subject: Make) -> None:
    net = subject(("lstm", {"hidden_size": 4}), shape=(None, 3))
    assert measure(net) == measure(net)


@pytest.mark.parametrize(
    ("module", "part"),
    [
        (lambda: Hungry(8, 6), "bytes, more than"),
        (lambda: Busy(8, 6), "operations, the graph foretells"),
        (lambda: nn.Linear(8, 6, bias=False), "parameters"),
    ],
)
def test_a_module_that_costs_otherwise_is_found(
    subject: Make, module: Callable[[], nn.Module], part: str
) -> None:
    with pytest.raises(CheckFailedError, match=part):
        measure(faulty(subject(LINEAR), module))


def test_a_longer_batch_is_predicted_to_take_more(subject: Make) -> None:
    ir = subject(LINEAR).ir
    assert predicted_bytes(ir, (8,), 64) > predicted_bytes(ir, (8,), 32)


KILO = 1024


def test_what_is_gone_before_the_next_comes_does_not_count_twice() -> None:
    def one_after_the_other() -> None:
        for _ in range(3):
            torch.ones(KILO)

    assert peak_bytes(one_after_the_other) == 4 * KILO
    assert peak_bytes(lambda: [torch.ones(KILO) for _ in range(3)]) == 3 * 4 * KILO


def test_views_cost_nothing_and_memory_of_before_is_not_counted() -> None:
    x = torch.ones(KILO)
    assert peak_bytes(lambda: x.view(2, -1).t()) == 0


def test_a_backward_pass_is_counted() -> None:
    x = torch.ones(KILO, requires_grad=True)
    step = lambda: (x * x).sum().backward()  # noqa: E731 one line says it
    assert peak_bytes(step) >= 2 * 4 * KILO
