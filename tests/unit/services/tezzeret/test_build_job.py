from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from esper.blueprints.builder import GraphBuilder
from esper.contracts.library import Target
from esper.services.tezzeret.build_job import (
    Abandoned,
    Broken,
    Builder,
    Limits,
    Outcome,
    Proof,
)
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tezzeret.prove import prove
from esper.utils.clock import SystemClock
from support import forge_children
from support.forge import blueprint_of, perceptron

CONFIG = TezzeretConfig(targets=(Target(batch_size=4),), build_seconds=100.0, niceness=0)
GOOD = blueprint_of(perceptron())
Child = Callable[[str, str, TezzeretConfig], None]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("builds")]


def build(child: Child | None = None, **changes: Any) -> Outcome:
    config = replace(CONFIG, **changes)
    return Builder(config, SystemClock())(GOOD, child=child)


def test_a_build_apart_gives_the_same_kernel_as_one_in_this_process() -> None:
    apart = build()
    assert isinstance(apart, Proof)
    assert apart.data == prove(GOOD, CONFIG.targets).data
    assert apart.report.passed


def test_a_failed_check_comes_back_as_a_report_without_a_kernel() -> None:
    g = GraphBuilder((8,))
    blueprint = blueprint_of(g.finish(g.add("linear", "x", out_features=4, init="zero")))
    outcome = Builder(CONFIG, SystemClock())(blueprint)
    assert isinstance(outcome, Proof)
    assert outcome.data is None
    assert outcome.report.reason.startswith("birth")


@pytest.mark.parametrize(
    ("child", "part"),
    [
        (forge_children.crash, "SIGSEGV: the heap is on fire"),
        (forge_children.fail, "exit status 1"),
        (forge_children.leave_rubbish, "cannot be read"),
        (forge_children.leave_nothing, "exit status 0"),
    ],
)
def test_a_crash_is_told_and_may_be_tried_again(child: Child, part: str) -> None:
    outcome = build(child)
    assert isinstance(outcome, Broken)
    assert part in outcome.reason
    assert not outcome.final


def test_a_build_that_hangs_is_killed_with_everything_it_started() -> None:
    before = forge_children.offspring()
    outcome = build(forge_children.hang, build_seconds=1.0)
    assert isinstance(outcome, Broken)
    assert "did nothing for 1 s" in outcome.reason
    assert not outcome.final
    deadline = time.monotonic() + 300.0
    while forge_children.offspring() - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not forge_children.offspring() - before


def test_a_build_that_takes_too_much_of_the_processor_is_killed() -> None:
    # The machine may leave it little of that meanwhile, but never less than what counts as nothing.
    outcome = build(forge_children.spin, build_seconds=5.0)
    assert isinstance(outcome, Broken)
    assert "more processor time than its limit of 5 s" in outcome.reason
    assert outcome.final


def test_on_a_busy_machine_a_build_may_take_long_by_the_clock() -> None:
    limits = Limits(CONFIG, now=0.0)
    for minute in range(100):
        assert limits.look(60.0 * minute, float(minute), 2**20) is None
    assert limits.look(6000.0, 100.5, 2**20) == Broken(
        reason="the build took more processor time than its limit of 100 s", final=True
    )


def test_a_build_whose_threads_only_wait_hangs() -> None:
    limits = Limits(CONFIG, now=0.0)
    found = [limits.look(float(now), 5.0 + now * 1e-5, 2**20) for now in range(1, 103)]
    assert found[-2] is None
    assert found[-1] == Broken(reason="the build hung: it did nothing for 100 s", final=False)


def test_a_build_that_devours_memory_is_killed() -> None:
    outcome = build(forge_children.devour, memory_bytes=700 * 2**20)
    assert isinstance(outcome, Broken)
    assert "memory" in outcome.reason
    assert outcome.final


def test_a_blueprint_that_asks_for_too_much_at_once_fails_its_proof() -> None:
    g = GraphBuilder((64,))
    steps = [("linear", {"out_features": 2**22}), ("linear", {"out_features": 4})]
    greedy = blueprint_of(g.finish(g.chain("x", *steps)))
    config = replace(CONFIG, memory_bytes=800 * 2**20)
    outcome = Builder(config, SystemClock())(greedy)
    refused = isinstance(outcome, Proof) and "memory" in outcome.report.reason
    killed = isinstance(outcome, Broken) and "memory" in outcome.reason
    assert refused or killed, outcome


def test_a_build_that_nobody_wants_any_more_is_killed() -> None:
    build = Builder(CONFIG, SystemClock())
    assert build(GOOD, lambda: True, child=forge_children.hang) == Abandoned()
