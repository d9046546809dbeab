from __future__ import annotations

import torch

from esper.services.tezzeret.checks.memory import peak_bytes

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
