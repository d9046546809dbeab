"""A wrapped model's own call is skipped only where nobody could tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import fx
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from esper.core.model_wrapper import wrap
from esper.core.plain_call import call_is_forward


class CallsItself(nn.Linear):
    __call__ = nn.Linear.forward


class CallsThroughItsOwn(nn.Linear):
    _call_impl = nn.Linear.forward


def nothing(*_: Any) -> None:
    return None


def test_a_stock_module_is_run_by_its_forward() -> None:
    assert call_is_forward(nn.Linear(2, 2))


@pytest.mark.parametrize(
    "register",
    [
        nn.Module.register_forward_hook,
        nn.Module.register_forward_pre_hook,
        nn.Module.register_full_backward_hook,
        nn.Module.register_full_backward_pre_hook,
        lambda _, hook: register_module_forward_hook(hook),
    ],
)
def test_a_module_with_a_hook_is_called_until_the_hook_is_gone(
    register: Callable[[nn.Module, Any], Any],
) -> None:
    module = nn.Linear(2, 2)
    handle = register(module, nothing)
    assert not call_is_forward(module)
    handle.remove()
    assert call_is_forward(module)


@pytest.mark.parametrize("kind", [CallsItself, CallsThroughItsOwn])
def test_a_class_with_a_call_of_its_own_is_called(kind: type[nn.Linear]) -> None:
    assert not call_is_forward(kind(2, 2))


def test_a_module_that_compiles_its_call_is_called() -> None:
    module = nn.Linear(2, 2)
    module.compile(backend="eager")
    assert not call_is_forward(module)


def test_a_hook_that_comes_later_on_the_wrapped_model_runs() -> None:
    model, x = wrap(nn.Sequential(nn.Linear(2, 2))), torch.randn(3, 2)
    before, seen = model(x), []

    def double(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        seen.append(output)
        return 2 * output

    handle = model.wrapped_model.register_forward_hook(double)
    assert torch.equal(model(x), 2 * before)
    handle.remove()
    assert torch.equal(model(x), before)
    assert len(seen) == 1
    assert model.total_forward_calls == 3


class Leaf(fx.Tracer):
    """A tracer for which the wrapped model is one operation."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name == "model.wrapped_model"


class Outer(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.model(x)
        return found


def test_a_trace_sees_the_call_of_the_wrapped_model() -> None:
    model = wrap(nn.Sequential(nn.Linear(2, 2)))
    nodes = Leaf().trace(Outer(model)).nodes
    assert [n.target for n in nodes if n.op == "call_module"] == ["model.wrapped_model"]
