from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from esper.contracts.errors import OptimizerError
from esper.core.attached import AttachedOptimizers


def parameters(*names: str, grad: bool = True) -> dict[str, nn.Parameter]:
    return {name: nn.Parameter(torch.zeros(2), requires_grad=grad) for name in names}


def held(optimizer: torch.optim.Optimizer) -> set[nn.Parameter]:
    return {parameter for group in optimizer.param_groups for parameter in group["params"]}


def sgd(of: dict[str, nn.Parameter]) -> torch.optim.SGD:
    return torch.optim.SGD(of.values(), lr=0.1)


def test_what_is_gone_leaves_every_optimizer_and_what_is_new_goes_to_its_neighbours_one() -> None:
    first, second, new = parameters("a", "gone"), parameters("b"), parameters("new")
    one, two = sgd(first), sgd(second)
    attached = AttachedOptimizers()
    attached.attach(one, {})
    attached.attach(two, {"weight_decay": 0.3})
    before = first | second
    after = {name: p for name, p in before.items() if name != "gone"} | new
    attached.follow(before, after, beside=second)
    assert held(one) == {first["a"]}
    assert held(two) == {second["b"], new["new"]}
    assert two.param_groups[-1]["weight_decay"] == 0.3
    assert two.param_groups[0]["weight_decay"] == 0.0


def test_without_a_neighbour_it_goes_to_the_optimizer_attached_first() -> None:
    old, new = parameters("a", "b"), parameters("new")
    one, two = sgd({"a": old["a"]}), sgd({"b": old["b"]})
    attached = AttachedOptimizers()
    attached.attach(one, {})
    attached.attach(two, {})
    attached.follow(old, old | new, beside={})
    assert new["new"] in held(one)
    assert new["new"] not in held(two)


def test_what_takes_no_gradient_is_no_optimizers_business() -> None:
    old = parameters("a")
    optimizer, attached = sgd(old), AttachedOptimizers()
    attached.attach(optimizer, {})
    attached.follow(old, old | parameters("frozen", grad=False), beside=old)
    assert held(optimizer) == {old["a"]}


def test_a_detached_optimizer_stays_as_it_is() -> None:
    old = parameters("a")
    optimizer, attached = sgd(old), AttachedOptimizers()
    attached.attach(optimizer, {})
    attached.detach(optimizer)
    attached.detach(optimizer)
    assert len(attached) == 0
    attached.follow(old, parameters("new"), beside=old)
    assert held(optimizer) == {old["a"]}


def test_copies_start_empty_for_their_models_have_other_parameters() -> None:
    attached = AttachedOptimizers()
    attached.attach(sgd(parameters("a")), {})
    assert len(copy.deepcopy(attached)) == len(pickle.loads(pickle.dumps(attached))) == 0
    assert len(attached) == 1


def test_what_is_no_optimizer_or_no_option_is_refused_with_what_there_is() -> None:
    attached = AttachedOptimizers()
    with pytest.raises(OptimizerError, match=r"dict is not a torch\.optim\.Optimizer"):
        attached.attach({}, {})  # type: ignore[arg-type]
    with pytest.raises(OptimizerError, match="SGD has no option betas; it has dampening"):
        attached.attach(sgd(parameters("a")), {"betas": (0.9, 0.99)})
    assert len(attached) == 0
