"""Parameters come and go; the state of all others stays bit for bit what it was."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import Optimizer

from esper.contracts.errors import OptimizerError
from esper.core.optimizer import (
    add_parameters,
    group_of,
    load_state_by_name,
    remove_parameters,
    state_by_name,
)

MAKERS: dict[str, Callable[[Any], Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "sgd nesterov foreach": lambda p: torch.optim.SGD(
        p, lr=0.1, momentum=0.9, nesterov=True, foreach=True
    ),
    "sgd fused": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adam fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "adam tensor lr": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.01)),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "adamw amsgrad": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "adamw amsgrad foreach": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True, foreach=True),
    "adamw amsgrad fused": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True, fused=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "rmsprop foreach": lambda p: torch.optim.RMSprop(p, lr=0.01, foreach=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01, initial_accumulator_value=0.5),
    "adagrad foreach": lambda p: torch.optim.Adagrad(p, lr=0.01, foreach=True),
    "adagrad fused": lambda p: torch.optim.Adagrad(p, lr=0.01, fused=True),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.01),
    "asgd": lambda p: torch.optim.ASGD(p, lr=0.01),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=0.01),
}
GROWABLE = pytest.mark.parametrize("kind", MAKERS)
SHAPES = [(3,), (2, 4), (1,), (4, 1, 3), (), (5, 5)]


def make_parameters(count: int, prefix: str = "p", seed: int = 0) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return {
        f"{prefix}.{i}": nn.Parameter(torch.randn(SHAPES[i % len(SHAPES)], generator=generator))
        for i in range(count)
    }


def train(optimizer: Optimizer, named: dict[str, nn.Parameter], steps: int, seed: int = 1) -> None:
    """Steps whose gradient for a parameter depends on its name and step only."""
    for step in range(steps):
        for name, parameter in named.items():
            generator = torch.Generator().manual_seed(hash_of(name) + step + 1000 * seed)
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()


def hash_of(name: str) -> int:
    return sum(ord(c) * 31**i for i, c in enumerate(name)) % 100_003


def snapshot(optimizer: Optimizer, named: dict[str, nn.Parameter]) -> dict[str, Any]:
    return {n: copy.deepcopy(optimizer.state[p]) for n, p in named.items() if p in optimizer.state}


def assert_same(left: Any, right: Any) -> None:
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, torch.Tensor):
        assert left.dtype == right.dtype
        assert torch.equal(left, right)
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert_same(a, b)
    else:
        assert left == right


@settings(max_examples=120, deadline=None)
@given(
    kind=st.sampled_from(sorted(MAKERS)),
    groups=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    before=st.integers(0, 3),
    between=st.integers(0, 2),
    after=st.integers(1, 3),
    grown=st.integers(1, 4),
    names=st.booleans(),
)
def test_growing_and_culling_leaves_every_other_parameter_bit_identical(
    kind: str, groups: list[int], before: int, between: int, after: int, grown: int, names: bool
) -> None:
    def build() -> tuple[Optimizer, dict[str, nn.Parameter]]:
        named = make_parameters(sum(groups))
        items, rows, at = list(named.items()), [], 0
        for size in groups:
            part = items[at : at + size]
            rows.append({"params": part if names else [p for _, p in part]})
            at += size
        return MAKERS[kind](rows), named

    plain, plain_named = build()
    train(plain, plain_named, before + between + after)

    optimizer, named = build()
    train(optimizer, named, before)
    held = snapshot(optimizer, named)
    kernel = make_parameters(grown, prefix="kernel", seed=7)
    group = add_parameters(optimizer, kernel, lr=0.5)
    assert_same(held, snapshot(optimizer, named))
    assert float(group["lr"]) == 0.5

    for step in range(between):
        for source, offset in ((named, before + step), (kernel, step)):
            for name, parameter in source.items():
                generator = torch.Generator().manual_seed(hash_of(name) + offset + 1000)
                parameter.grad = torch.randn(parameter.shape, generator=generator)
        moved = {n: p.detach().clone() for n, p in kernel.items()}
        optimizer.step()
        if step > 0 or kind != "adagrad":
            assert any(not torch.equal(moved[n], p) for n, p in kernel.items())

    held = snapshot(optimizer, named)
    assert remove_parameters(optimizer, kernel.values()) == grown
    assert_same(held, snapshot(optimizer, named))
    assert all(p not in optimizer.state for p in kernel.values())
    assert len(optimizer.param_groups) == len(groups)

    for step in range(before + between, before + between + after):
        for name, parameter in named.items():
            generator = torch.Generator().manual_seed(hash_of(name) + step + 1000)
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
    for name, parameter in named.items():
        assert torch.equal(parameter, plain_named[name])
    assert_same(snapshot(optimizer, named), snapshot(plain, plain_named))


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(MAKERS)),
    count=st.integers(2, 6),
    data=st.data(),
)
def test_any_subset_can_be_removed_and_the_rest_trains_on(
    kind: str, count: int, data: st.DataObject
) -> None:
    named, twin_named = make_parameters(count), make_parameters(count)
    optimizer, twin = MAKERS[kind](list(named.values())), MAKERS[kind](list(twin_named.values()))
    leaving = data.draw(st.sets(st.sampled_from(sorted(named)), max_size=count - 1))
    train(optimizer, named, 2)
    train(twin, twin_named, 2)
    remove_parameters(optimizer, [named[n] for n in leaving])
    rest = {n: p for n, p in named.items() if n not in leaving}
    train(optimizer, rest, 2, seed=2)
    train(twin, twin_named, 2, seed=2)
    for name, parameter in rest.items():
        assert torch.equal(parameter, twin_named[name])
    for name in leaving:
        assert named[name] not in optimizer.state
        assert group_of(optimizer, named[name]) is None


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(sorted(MAKERS)), steps=st.integers(0, 3), names=st.booleans())
def test_state_by_name_restores_into_an_optimizer_that_has_not_grown(
    kind: str, steps: int, names: bool
) -> None:
    def build() -> tuple[Optimizer, dict[str, nn.Parameter], dict[str, nn.Parameter]]:
        named = make_parameters(4)
        source = list(named.items()) if names else list(named.values())
        return MAKERS[kind](source), named, make_parameters(2, "kernel", seed=3)

    optimizer, named, kernel = build()
    add_parameters(optimizer, kernel, lr=0.3)
    train(optimizer, {**named, **kernel}, steps)
    saved = state_by_name(optimizer, {**named, **kernel})
    values = {n: p.detach().clone() for n, p in {**named, **kernel}.items()}
    train(optimizer, {**named, **kernel}, 2, seed=5)

    fresh, fresh_named, fresh_kernel = build()
    every = {**fresh_named, **fresh_kernel}
    with torch.no_grad():
        for name, parameter in every.items():
            parameter.copy_(values[name])
    load_state_by_name(fresh, every, saved)
    assert len(fresh.param_groups) == 2
    assert float(fresh.param_groups[1]["lr"]) == pytest.approx(0.3)
    train(fresh, every, 2, seed=5)
    for name, parameter in {**named, **kernel}.items():
        assert torch.equal(parameter, every[name])


def test_saved_state_does_not_change_when_training_goes_on() -> None:
    named = make_parameters(2)
    optimizer = torch.optim.Adam(named.values())
    train(optimizer, named, 1)
    saved = state_by_name(optimizer, named)
    before = copy.deepcopy(saved)
    train(optimizer, named, 2)
    assert_same(before, saved)
    load_state_by_name(optimizer, named, saved)
    train(optimizer, named, 1)
    assert_same(before, saved)


def test_the_order_of_a_new_optimizer_does_not_matter() -> None:
    named = make_parameters(3)
    optimizer = torch.optim.Adam(named.values())
    train(optimizer, named, 2)
    saved = state_by_name(optimizer, named)
    other = torch.optim.Adam(reversed(list(named.values())))
    load_state_by_name(other, named, saved)
    for parameter in named.values():
        assert_same(optimizer.state[parameter], other.state[parameter])


def test_a_group_that_was_emptied_is_dropped_but_a_schedulers_and_the_last_stay() -> None:
    named, kernel = make_parameters(1), make_parameters(1, "kernel")
    optimizer = torch.optim.SGD(named.values(), lr=0.1)
    add_parameters(optimizer, kernel)
    remove_parameters(optimizer, kernel.values())
    assert len(optimizer.param_groups) == 1
    remove_parameters(optimizer, named.values())
    assert len(optimizer.param_groups) == 1

    two = make_parameters(2)
    optimizer = torch.optim.SGD([{"params": [p]} for p in two.values()], lr=0.1)
    torch.optim.lr_scheduler.StepLR(optimizer, 1)
    remove_parameters(optimizer, [two["p.0"]])
    assert [len(group["params"]) for group in optimizer.param_groups] == [0, 1]
    train(optimizer, {"p.1": two["p.1"]}, 1)


@GROWABLE
def test_an_empty_group_does_not_stop_a_step(kind: str) -> None:
    named = make_parameters(2)
    optimizer = MAKERS[kind]([{"params": [p]} for p in named.values()])
    optimizer.param_groups[0]["initial_lr"] = 0.1
    train(optimizer, named, 1)
    remove_parameters(optimizer, [named["p.0"]])
    rest = {"p.1": named["p.1"]}
    before = named["p.1"].detach().clone()
    train(optimizer, rest, 2)
    assert not torch.equal(before, named["p.1"])


def test_a_tensor_learning_rate_is_not_shared_with_the_new_group() -> None:
    optimizer = torch.optim.Adam(make_parameters(1).values(), lr=torch.tensor(0.1))
    group = add_parameters(optimizer, make_parameters(1, "kernel"))
    optimizer.param_groups[0]["lr"].fill_(9.0)
    assert float(group["lr"]) == pytest.approx(0.1)


def test_options_reach_the_group_and_an_unknown_one_names_those_that_exist() -> None:
    optimizer = torch.optim.AdamW(make_parameters(1).values())
    group = add_parameters(optimizer, make_parameters(1, "a"), lr=0.5, weight_decay=0.25)
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.25)
    with pytest.raises(OptimizerError, match=r"no option momentum; it has .*weight_decay"):
        add_parameters(optimizer, make_parameters(1, "b"), momentum=0.9)
    assert len(optimizer.param_groups) == 2


def test_parameters_that_are_in_already_or_missing_or_not_leaves_are_refused() -> None:
    named = make_parameters(1)
    optimizer = torch.optim.SGD(named.values(), lr=0.1)
    with pytest.raises(OptimizerError, match=r"'p.0' is in the optimizer already"):
        add_parameters(optimizer, named)
    with pytest.raises(OptimizerError, match=r"no parameter to add"):
        add_parameters(optimizer, {})
    with pytest.raises(OptimizerError, match=r"not a leaf"):
        add_parameters(optimizer, {"x": named["p.0"] * 2})  # type: ignore[dict-item]


def test_lbfgs_is_refused_with_a_remedy() -> None:
    named = make_parameters(2)
    optimizer = torch.optim.LBFGS(named.values())
    with pytest.raises(OptimizerError, match=r"LBFGS keeps one flat state.*Use SGD, Adam"):
        add_parameters(optimizer, make_parameters(1, "kernel"))
    with pytest.raises(OptimizerError, match=r"LBFGS"):
        remove_parameters(optimizer, [named["p.0"]])
    assert len(optimizer.param_groups) == 1
    assert len(optimizer.param_groups[0]["params"]) == 2


class Sketching(torch.optim.SGD):
    """Keeps one state for all parameters on the first of them, as exotic optimizers do."""

    def remember(self) -> None:
        self.state[self.param_groups[0]["params"][0]]["sketch"] = torch.zeros(17)


def test_an_optimizer_with_state_of_another_shape_is_refused_and_unchanged() -> None:
    named = make_parameters(2)
    optimizer = Sketching(named.values(), lr=0.1)
    optimizer.remember()
    with pytest.raises(OptimizerError, match=r"state 'sketch' \(\(17,\)\) of Sketching"):
        remove_parameters(optimizer, [named["p.1"]])
    with pytest.raises(OptimizerError, match=r"sketch"):
        add_parameters(optimizer, make_parameters(1, "kernel"))
    assert len(optimizer.param_groups[0]["params"]) == 2


def test_muon_takes_matrices_only() -> None:
    matrix = {"m": nn.Parameter(torch.randn(3, 4))}
    optimizer = torch.optim.Muon(matrix.values())
    with pytest.raises(OptimizerError, match=r"Muon takes matrices only"):
        add_parameters(optimizer, {"bias": nn.Parameter(torch.zeros(3))})
    add_parameters(optimizer, {"k": nn.Parameter(torch.randn(2, 3))})


def test_something_that_is_no_optimizer_is_refused() -> None:
    with pytest.raises(OptimizerError, match=r"not a torch.optim.Optimizer"):
        add_parameters(object(), make_parameters(1))  # type: ignore[arg-type]


def test_removing_what_is_not_there_does_nothing() -> None:
    optimizer = torch.optim.SGD(make_parameters(1).values(), lr=0.1)
    assert remove_parameters(optimizer, make_parameters(1, "other").values()) == 0


def test_a_stranger_in_the_optimizer_is_named_when_saving() -> None:
    named = make_parameters(2)
    optimizer = torch.optim.SGD(named.values(), lr=0.1)
    with pytest.raises(OptimizerError, match=r"parameter 1 of optimizer group 0"):
        state_by_name(optimizer, {"p.0": named["p.0"]})


def test_state_of_another_model_or_optimizer_is_refused_and_changes_nothing() -> None:
    named = make_parameters(2)
    optimizer = torch.optim.Adam(named.values())
    train(optimizer, named, 1)
    saved = state_by_name(optimizer, named)
    before = snapshot(optimizer, named)
    with pytest.raises(OptimizerError, match=r"is of Adam, this optimizer is SGD"):
        load_state_by_name(torch.optim.SGD(named.values(), lr=0.1), named, saved)
    renamed = {"other": named["p.0"], "p.1": named["p.1"]}
    with pytest.raises(OptimizerError, match=r"missing here \['p.0'\], unknown there \['other'\]"):
        load_state_by_name(optimizer, renamed, saved)
    saved["state"]["p.1"]["exp_avg"] = torch.zeros(9)
    with pytest.raises(OptimizerError, match=r"'exp_avg' of 'p.1' does not fit"):
        load_state_by_name(optimizer, named, saved)
    assert_same(before, snapshot(optimizer, named))


def test_the_saved_state_survives_a_weights_only_load(tmp_path: Any) -> None:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.named_parameters(), amsgrad=True)
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    torch.save(state_by_name(optimizer, model), tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    assert_same(saved, state_by_name(optimizer, model))


def test_a_grown_optimizer_still_pickles() -> None:
    named = make_parameters(2)
    optimizer = torch.optim.Adam(named.values())
    add_parameters(optimizer, make_parameters(1, "kernel"))
    assert len(pickle.loads(pickle.dumps(optimizer)).param_groups) == 2
