"""A race in a worker process: the same result bit for bit, and no harm when the worker dies."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from esper.contracts.errors import ConfigError, TrainingError
from esper.orchestration.nursery import Progress, Trouble
from esper.services.tezzeret.nursery_server import ProcessNursery, ProcessWard
from support.races import Held, course, hold_here, host, small_race

PATIENCE = 300.0
"""Seconds after which a worker that says nothing is taken for hung."""


@pytest.fixture(scope="module")
def nursery() -> Iterator[ProcessNursery]:
    with ProcessNursery() as nursery:
        yield nursery


def news(ward: ProcessWard, until: Any) -> list[Progress | Trouble]:
    """What comes back, up to the first that is asked for."""
    found: list[Progress | Trouble] = []
    deadline = time.monotonic() + PATIENCE
    while not any(until(n) for n in found):
        assert time.monotonic() < deadline, "the worker hangs"
        found += ward.news()
        time.sleep(0.005)
    return found


def is_over(one: Progress | Trouble) -> bool:
    return isinstance(one, Trouble) or one.outcome is not None


def hold_there(nursery: ProcessNursery) -> Held:
    model = host()
    race = small_race(model)
    ward = nursery.take(race)
    for one in course(model, race):
        ward.send(one)
    found = news(ward, is_over)
    assert not any(isinstance(one, Trouble) for one in found), found
    last = found[-1]
    assert isinstance(last, Progress)
    assert last.outcome is not None
    rungs = tuple(one.rung for one in found if isinstance(one, Progress))
    return Held(last.outcome, rungs, last.flops)


def failing(output: Tensor, target: Tensor) -> Tensor:
    if output.requires_grad or len(target) < 400:
        return F.cross_entropy(output, target)
    raise RuntimeError("out of luck")


def test_a_worker_comes_to_the_same_result_bit_for_bit(nursery: ProcessNursery) -> None:
    model = host()
    race = small_race(model)
    here = hold_here(race, course(model, race))
    for _ in range(2):  # a worker holds one race after another
        there = hold_there(nursery)
        assert there.rungs == here.rungs
        assert there.flops == here.flops
        assert there.outcome.reason == here.outcome.reason
        assert there.outcome.evidence == here.outcome.evidence
        assert there.outcome.against_control == here.outcome.against_control
        assert here.outcome.winner is not None
        assert there.outcome.winner is not None
        assert there.outcome.winner.standing == here.outcome.winner.standing
        kernel = there.outcome.winner.kernel.state_dict()
        for name, value in here.outcome.winner.kernel.state_dict().items():
            assert torch.equal(kernel[name], value), name
        for name, parameter in here.outcome.winner.rest.items():
            assert torch.equal(there.outcome.winner.rest[name], parameter), name
        assert here.outcome.host is not None
        assert there.outcome.host is not None
        assert torch.equal(there.outcome.host.losses, here.outcome.host.losses)


def test_a_race_elsewhere_draws_nothing_from_the_trainers_generator(
    nursery: ProcessNursery,
) -> None:
    model = host()
    race = small_race(model)
    told, state = course(model, race), torch.get_rng_state()
    ward = nursery.take(race)
    for one in told:
        ward.send(one)
    news(ward, is_over)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("moment", ["at once", "in a rung", "at a mark", "after a mark"])
def test_a_killed_worker_is_noticed_and_a_next_race_has_a_new_one(moment: str) -> None:
    with ProcessNursery() as nursery:
        model = host()
        race = small_race(model)
        told = course(model, race)
        ward = nursery.take(race)
        sent = {"at once": 0, "in a rung": 8, "at a mark": 31, "after a mark": 31}[moment]
        for one in told[:sent]:
            ward.send(one)
        if moment == "after a mark":
            news(ward, lambda one: isinstance(one, Progress))
        first = nursery.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        for one in told[sent:]:
            ward.send(one)  # nobody need know
        trouble = news(ward, lambda one: isinstance(one, Trouble))[-1]
        assert isinstance(trouble, Trouble)
        assert "killed by SIGKILL" in trouble.reason
        ward.abandon()
        if moment == "at once":  # one of them will do
            assert hold_there(nursery).outcome.reason
            assert nursery.pid not in (None, first)


def test_a_worker_that_is_stopped_falls_behind_and_its_race_is_called_off() -> None:
    with ProcessNursery(max_bytes=100_000) as nursery:
        model = host()
        race = small_race(model)
        assert nursery.pid is not None
        os.kill(nursery.pid, signal.SIGSTOP)
        ward = nursery.take(race)
        for _ in range(20):
            for one in course(model, race):
                ward.send(one)  # never waits
        (trouble,) = ward.news()
        assert isinstance(trouble, Trouble)
        assert "fell behind" in trouble.reason
        ward.abandon()


def test_what_a_race_raises_comes_back_with_its_words_and_the_worker_stays(
    nursery: ProcessNursery,
) -> None:
    model = host()
    race = small_race(model, failing)
    ward, pid = nursery.take(race), nursery.pid
    for one in course(model, race):
        ward.send(one)
    trouble = news(ward, is_over)[-1]
    assert isinstance(trouble, Trouble)
    assert "RuntimeError: out of luck" in trouble.reason
    assert hold_there(nursery).outcome.reason
    assert nursery.pid == pid


def test_what_cannot_be_handed_over_is_refused_before_the_run(nursery: ProcessNursery) -> None:
    nursery.check({"model": host().wrapped_model, "loss_fn": F.cross_entropy, "metric": None})
    with pytest.raises(ConfigError, match=r"^loss_fn cannot be handed .*top level of a module"):
        nursery.check({"model": host().wrapped_model, "loss_fn": lambda o, y: 2 * F.mse_loss(o, y)})

    class Local(nn.Linear):
        pass

    with pytest.raises(ConfigError, match=r"^model cannot be handed"):
        nursery.check({"model": Local(2, 2)})


def test_a_race_that_cannot_be_handed_over_says_why(nursery: ProcessNursery) -> None:
    race = small_race(host(), lambda o, y: 2 * F.cross_entropy(o, y))
    with pytest.raises(TrainingError, match="could not be handed to a worker"):
        nursery.take(race)


def test_the_worker_ends_with_its_nursery() -> None:
    nursery = ProcessNursery()
    pid = nursery.pid
    assert pid is not None
    nursery.close()
    assert nursery.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def test_a_worker_computes_with_as_many_threads_as_its_trainer(nursery: ProcessNursery) -> None:
    with threads(2):
        model = host()
        race = small_race(model)
        here = hold_here(race, course(model, race))
        there = hold_there(nursery)
    assert there.rungs == here.rungs
