"""A call of the model takes a short way; whatever may stand between call and forward still does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel

Hang = Callable[[MorphableModel, Callable[[nn.Module], None]], Any]


class Doubled(MorphableModel):
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return 2 * super().forward(*args, **kwargs)


def _model() -> MorphableModel:
    torch.manual_seed(0)
    return wrap(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))


@pytest.fixture
def x() -> Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)


OWN: dict[str, Hang] = {
    "before": lambda m, note: m.register_forward_pre_hook(lambda *_: note(m)),
    "after": lambda m, note: m.register_forward_hook(lambda *_: note(m)),
    "before backward": lambda m, note: m.register_full_backward_pre_hook(lambda *_: note(m)),
    "after backward": lambda m, note: m.register_full_backward_hook(lambda *_: note(m)),
}
GLOBAL: dict[str, Hang] = {
    "before": lambda _, note: hooks.register_module_forward_pre_hook(lambda m, *_: note(m)),
    "after": lambda _, note: hooks.register_module_forward_hook(lambda m, *_: note(m)),
    "before backward": lambda _, note: hooks.register_module_full_backward_pre_hook(
        lambda m, *_: note(m)
    ),
    "after backward": lambda _, note: hooks.register_module_full_backward_hook(
        lambda m, *_: note(m)
    ),
}


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("where", [OWN, GLOBAL], ids=["own", "global"])
def test_a_hook_on_the_model_runs_from_when_it_is_hung_until_it_is_removed(
    where: dict[str, Hang], kind: str, x: Tensor
) -> None:
    model, seen = _model(), []
    model(x).sum().backward()
    handle = where[kind](model, seen.append)
    try:
        model(x).sum().backward()
    finally:
        handle.remove()
    assert seen.count(model) == 1
    model(x).sum().backward()
    assert seen.count(model) == 1


def test_a_forward_that_was_set_on_the_model_is_called(x: Tensor) -> None:
    model = _model()
    plain = model(x)
    inner = model.forward
    model.forward = lambda *args: -inner(*args)  # type: ignore[method-assign]  # as libraries do
    assert torch.equal(model(x), -plain)


def test_a_forward_of_a_subclass_is_called(x: Tensor) -> None:
    model = _model()
    plain = model(x)
    model.__class__ = Doubled
    assert torch.equal(model(x), 2 * plain)


def test_every_way_of_calling_counts_once(x: Tensor) -> None:
    model = _model()
    model(x)
    model.forward(x)
    model.register_forward_hook(lambda *_: None)
    model(x)
    assert model.total_forward_calls == 3


def test_a_model_compiled_in_place_is_called_compiled(x: Tensor) -> None:
    model, seen = _model(), []

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., Any]:
        seen.append(graph)
        return graph.forward

    plain = model(x)
    model.compile(backend=backend)
    assert torch.allclose(model(x), plain)
    assert seen
