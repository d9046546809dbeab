"""Two workers and one blueprint: the one that was halted can change nothing when it wakes up."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from esper.contracts.enums import BlueprintState
from esper.services.urza.kernel_library import Library
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.clock import SystemClock
from support.fault_checks import broken, read_told
from support.fault_length import LONG
from support.fault_process import Launcher, launcher
from support.stored import ACTOR, blueprint, id_of, kernel_file

# A worker grants itself a lease, renews it, uploads and completes, in this order.
BETWEEN_CHANGES = [
    "urza.leases.after-commit",
    "urza.leases.after-commit=2",
    "urza.blobs.before-publish",
    "urza.blobs.after-publish",
    "urza.blobs.after-commit",
]
WITHIN_A_CHANGE = ["urza.blobs.before-commit", "urza.leases.before-commit=3"]
SLOW, FAST = kernel_file(1), kernel_file(2)


@pytest.fixture(scope="module")
def rivals() -> Iterator[Launcher]:
    with launcher() as started:
        yield started


def _wait_until_halted(pid: int) -> None:
    while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)


async def _race(
    config: UrzaConfig, slow: Launcher, fast: Launcher, folder: Path, name: str, at_work: bool
) -> None:
    library = await Library.open(config, SystemClock())
    await library.blueprints.submit(ACTOR, blueprint("good-0"))
    pid = slow.start(
        "worker", config, folder / "slow", f"{name}:stop", name="slow", seconds=0.3, seed=1
    )
    await asyncio.to_thread(_wait_until_halted, pid)
    # Either the rival is done when the other wakes up, or in the middle of its work.
    until = "urza.blobs.before-publish:stop" if at_work else ""
    rival = fast.start("worker", config, folder / "fast", until, name="fast", seconds=30, seed=2)
    if at_work:
        await asyncio.to_thread(_wait_until_halted, rival)
    else:
        assert fast.wait() == 0
    os.kill(pid, signal.SIGCONT)
    assert slow.wait() == 0
    if at_work:
        os.kill(rival, signal.SIGCONT)
        assert fast.wait() == 0
    told = {who: read_told(folder / who) for who in ("slow", "fast")}
    assert told["fast"][-1] == {"what": "complete", "name": "good-0", "kernel": id_of(FAST)}
    assert told["slow"][-1] == {"what": "lost", "name": "good-0", "token": 1}
    record = await library.blueprints.get("good-0")
    assert record.blueprint.state is BlueprintState.VALIDATED
    assert record.kernels == (id_of(FAST),)
    assert record.attempts == 2
    assert await broken(library) == []
    await library.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("name", BETWEEN_CHANGES)
@pytest.mark.parametrize("at_work", [False, True], ids=["rival done", "rival at work"])
async def test_a_worker_that_was_halted_publishes_nothing(
    config: UrzaConfig,
    processes: Launcher,
    rivals: Launcher,
    tmp_path: Path,
    name: str,
    at_work: bool,
) -> None:
    await _race(config, processes, rivals, tmp_path, name, at_work)


@pytest.mark.asyncio
@pytest.mark.skipif(not LONG, reason="waits until PostgreSQL ends the halted worker's transaction")
@pytest.mark.parametrize("name", WITHIN_A_CHANGE)
async def test_a_worker_that_was_halted_within_a_change_publishes_nothing(
    config: UrzaConfig, processes: Launcher, rivals: Launcher, tmp_path: Path, name: str
) -> None:
    if config.database_url.startswith("sqlite"):
        pytest.skip("an SQLite file has one writer, and waits for it: that is documented")
    await _race(config, processes, rivals, tmp_path, name, at_work=False)
