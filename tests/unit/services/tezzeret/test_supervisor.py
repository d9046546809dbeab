from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import psutil
import pytest

from esper.contracts.enums import BlueprintState
from esper.contracts.errors import AccessDeniedError
from esper.contracts.library import Target
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tezzeret.supervisor import MakeQueue, Supervisor
from support.forge import MemoryQueue, blueprint_of, perceptron
from support.forge_server import broken, denied, served

PATIENCE = 300.0
CONFIG = TezzeretConfig(
    targets=(Target(batch_size=2),),
    poll_seconds=0.05,
    backoff_seconds=0.05,
    backoff_most_seconds=0.1,
    niceness=0,
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@contextmanager
def running(config: TezzeretConfig, make_queue: MakeQueue) -> Iterator[Supervisor]:
    supervisor, stop = Supervisor(config, make_queue), Event()
    thread = Thread(target=supervisor.run, args=(stop,))
    thread.start()
    try:
        yield supervisor
    finally:
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_workers_build_what_waits_and_leave_nothing_running() -> None:
    queue = MemoryQueue()
    names = [queue.submit(blueprint_of(perceptron(width))) for width in (8, 12, 16)]
    with served(queue) as connect, running(CONFIG, connect) as supervisor:
        until(lambda: all(queue.entry(n).state is BlueprintState.VALIDATED for n in names))
        family = [child for pid in supervisor.pids() for child in psutil.Process(pid).children()]
    gone, alive = psutil.wait_procs(family, timeout=PATIENCE)
    assert gone
    assert not alive


def test_a_killed_worker_is_replaced_and_its_blueprint_built_by_the_next() -> None:
    queue = MemoryQueue()
    config = TezzeretConfig(
        **{**vars(CONFIG), "lease_seconds": 2.0, "targets": (Target(batch_size=2, compiled=True),)}
    )
    name = queue.submit(blueprint_of(perceptron()))
    with served(queue) as connect, running(config, connect) as supervisor:
        until(lambda: queue.entry(name).state is BlueprintState.COMPILING)
        (killed,) = supervisor.pids()
        os.kill(killed, signal.SIGKILL)
        until(lambda: queue.entry(name).state is BlueprintState.VALIDATED)
        assert killed not in supervisor.pids()
    assert queue.entry(name).attempts == 2


def test_a_worker_that_cannot_start_is_tried_again_after_pauses() -> None:
    with running(CONFIG, broken) as supervisor:
        until(lambda: supervisor._workers[0].failures >= 2)


def test_a_forge_that_is_not_let_in_ends_with_the_remedy() -> None:
    with pytest.raises(AccessDeniedError, match="role 'compiler'"):
        Supervisor(CONFIG, denied).run(Event())


def test_what_is_unfinished_when_the_time_to_drain_is_over_is_given_back() -> None:
    queue = MemoryQueue()
    compiled = (Target(batch_size=2, compiled=True),)
    config = TezzeretConfig(**{**vars(CONFIG), "drain_seconds": 0.0, "targets": compiled})
    name = queue.submit(blueprint_of(perceptron()))
    with served(queue) as connect, running(config, connect):
        until(lambda: queue.entry(name).state is BlueprintState.COMPILING)
    assert queue.entry(name).state is BlueprintState.UNVALIDATED
    assert queue.entry(name).reason.startswith("given back")
