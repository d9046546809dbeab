from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Event, Thread

import pytest

from esper.contracts.enums import BlueprintState
from esper.contracts.errors import AccessDeniedError
from esper.contracts.library import Target
from esper.contracts.ports import BlueprintQueue
from esper.services.tezzeret.forge_config import TezzeretConfig
from esper.services.tezzeret.supervisor import Connect, Supervisor
from support.forge import MemoryQueue, blueprint_of, perceptron
from support.forge_children import offspring

PATIENCE = 300.0
CONFIG = TezzeretConfig(
    targets=(Target(batch_size=2),),
    poll_seconds=0.05,
    backoff_seconds=0.05,
    backoff_most_seconds=0.1,
    niceness=0,
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("builds")]


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@contextmanager
def running(config: TezzeretConfig, connect: Connect) -> Iterator[Supervisor]:
    supervisor, stop = Supervisor(config, connect), Event()
    thread = Thread(target=supervisor.run, args=(stop,))
    thread.start()
    try:
        yield supervisor
    finally:
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_workers_build_what_waits_and_leave_nothing_running() -> None:
    queue, before = MemoryQueue(), offspring()
    names = [queue.submit(blueprint_of(perceptron(width))) for width in (8, 12, 16)]
    config = TezzeretConfig(**{**vars(CONFIG), "workers": 2})
    with running(config, lambda: nullcontext(queue)) as supervisor:
        until(supervisor.is_ready)
        until(lambda: all(queue.entry(n).state is BlueprintState.VALIDATED for n in names))
        assert supervisor.details() == {"workers": 2, "wanted": 2, "starts": 2}
    assert supervisor.alive() == 0
    until(lambda: not offspring() - before)


def test_a_worker_that_fails_is_started_again_after_pauses_and_works_then() -> None:
    queue, tries = MemoryQueue(), []

    def connect() -> AbstractContextManager[BlueprintQueue]:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("a worker that cannot even start")
        return nullcontext(queue)

    name = queue.submit(blueprint_of(perceptron()))
    with running(CONFIG, connect) as supervisor:
        until(lambda: queue.entry(name).state is BlueprintState.VALIDATED)
        assert supervisor.starts == len(tries) == 3


def test_a_forge_that_is_not_let_in_ends_with_the_remedy() -> None:
    def denied() -> AbstractContextManager[BlueprintQueue]:
        raise AccessDeniedError("no token")

    with pytest.raises(AccessDeniedError, match=r"no token.*role 'compiler'"):
        Supervisor(CONFIG, denied).run(Event())


def test_what_is_unfinished_when_the_time_to_drain_is_over_is_given_back() -> None:
    queue = MemoryQueue()
    compiled = (Target(batch_size=2, compiled=True),)
    config = TezzeretConfig(**{**vars(CONFIG), "drain_seconds": 0.0, "targets": compiled})
    name = queue.submit(blueprint_of(perceptron()))
    with running(config, lambda: nullcontext(queue)):
        until(lambda: queue.entry(name).state is BlueprintState.COMPILING)
    assert queue.entry(name).state is BlueprintState.UNVALIDATED
    assert queue.entry(name).reason.startswith("given back")
