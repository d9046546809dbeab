"""A library that is killed with -9, at every failpoint and at any other moment."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from esper.services.urza.kernel_library import Library
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.clock import SystemClock
from esper.utils.failpoint import declared
from support.fault_checks import broken, leftovers, lost, read_told
from support.fault_length import LONG
from support.fault_process import Launcher
from support.fault_scenario import live, quiet

FAILPOINTS = [name for name in declared() if name.startswith("urza.")]

# A worker's third change of a lease is the one that publishes its kernel; a kernel's second and
# third are its signature and its move.
LATER = [
    ("urza.leases.before-commit", 3),
    ("urza.leases.after-commit", 3),
    ("urza.kernels.before-commit", 2),
    ("urza.kernels.after-commit", 3),
]
KILLS = (
    [(name, passes) for name in FAILPOINTS for passes in (1, 2, 3)]
    if LONG
    else [*((name, 1) for name in FAILPOINTS), *LATER]
)


def test_the_failpoints_were_found() -> None:
    parts = {name.split(".")[1] for name in FAILPOINTS}
    assert parts >= {"blueprints", "leases", "kernels", "blobs", "aliases", "outcomes", "garbage"}
    assert len(FAILPOINTS) > 25


# A second life collects, or uploads again, what the first one had told of.
TWICE = [
    ("urza.kernels.before-commit=4", "urza.garbage.after-delete=2"),
    ("urza.blueprints.before-write=3", "urza.blobs.after-commit=2"),
]


async def _sound(config: UrzaConfig, told: Path) -> None:
    """Nothing told is lost, nothing is half done, and life goes on to a good end."""
    library = await Library.open(config, SystemClock())
    try:
        entries = read_told(told)
        assert await broken(library) == []
        assert await lost(library, entries) == []
        await live(library, quiet)
        assert await broken(library) == []
        # Names have moved on, and what no kernel refers to was collected.
        lasting = [entry for entry in entries if entry["what"] not in {"alias", "blob"}]
        assert await lost(library, lasting) == []
        # The stores' clocks may be behind: a grace that lies ahead takes everything loose.
        await library.garbage.collect("admin", -60.0)
        assert await leftovers(library) == set()
        assert await broken(library) == []
    finally:
        await library.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "passes"), KILLS)
async def test_a_kill_at_a_failpoint_loses_nothing_and_tears_nothing(
    config: UrzaConfig, processes: Launcher, tmp_path: Path, name: str, passes: int
) -> None:
    told = tmp_path / "told"
    status = processes.run("everything", config, told, f"{name}={passes}", rounds=3)
    assert status == -signal.SIGKILL
    await _sound(config, told)


@pytest.mark.asyncio
@pytest.mark.parametrize("kills", TWICE)
async def test_a_second_kill_loses_nothing_of_what_both_lives_were_told(
    config: UrzaConfig, processes: Launcher, tmp_path: Path, kills: tuple[str, str]
) -> None:
    told = tmp_path / "told"
    for kill in kills:
        assert processes.run("everything", config, told, kill, rounds=3) == -signal.SIGKILL
    await _sound(config, told)


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(40 if LONG else 4))
async def test_a_kill_at_any_moment_loses_nothing_and_tears_nothing(
    config: UrzaConfig, processes: Launcher, tmp_path: Path, seed: int
) -> None:
    told = tmp_path / "told"
    chance = random.Random(seed)
    for _ in range(3):
        pid = processes.start("everything", config, told, rounds=1000)
        await asyncio.sleep(chance.uniform(0.02, 1.0))
        os.kill(pid, signal.SIGKILL)
        assert processes.wait() == -signal.SIGKILL
    await _sound(config, told)


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(20 if LONG else 2))
async def test_a_kill_during_large_uploads_tears_no_blob(
    config: UrzaConfig, processes: Launcher, tmp_path: Path, seed: int
) -> None:
    told = tmp_path / "told"
    pid = processes.start("uploads", config, told, size=12 * 2**20)
    await asyncio.sleep(random.Random(seed).uniform(0.3, 1.5))
    os.kill(pid, signal.SIGKILL)
    processes.wait()
    await _sound(config, told)
