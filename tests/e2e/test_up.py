"""`esper up` as its user has it: real services, killed one by one, while a run trains."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from esper.contracts.enums import BlueprintState, RunState, TopicNames
from esper.contracts.messages import OonaMessage, RequestBlueprint
from esper.hosting.discovery import find
from esper.services.nissa.run_store import RunStore
from esper.services.oona.open import open_bus
from esper.services.urza.client.urza_client import UrzaClient
from support.forge import blueprint_of, perceptron
from support.platforms import PATIENCE, Up, esper, logged, run_id_of, stored, training, until, up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SLOW = ("--data", "mnist1d", "--model", "support.slow_model:build", "--no-growth")
EXAMPLE = Path(__file__).parents[2] / "configs" / "platform.yaml"
"""A configuration in which the platform has everything of its own."""
SERVICES = ("bus", "nissa", "urza", "tezzeret")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Up]:
    with up(home, "--config", str(EXAMPLE)) as found:
        yield found


def library(running: Up) -> UrzaClient:
    platform = running.platform()
    return UrzaClient(platform.urza_url, Path(platform.token_file).read_text().strip())


def is_validated(asked: UrzaClient, blueprint_id: str) -> bool:
    record = asked.blueprint(blueprint_id)
    assert record.blueprint.state is not BlueprintState.INVALID, record.reason
    return record.blueprint.state is BlueprintState.VALIDATED


def all_lines_stored(running: Up, folder: Path) -> bool:
    summary, lines = stored(running.platform(), run_id_of(folder))
    return summary is not None and lines == len(logged(folder))


def test_everything_is_ready_and_status_says_so(running: Up, home: Path) -> None:
    done = esper(home, "status")
    assert done.returncode == 0, done.stderr
    for service in SERVICES:
        assert service in done.stdout
    assert done.stdout.count("ready") == 4
    assert running.platform().nissa_url in running.log()


def test_idle_it_takes_at_most_700_mib_in_all(running: Up) -> None:
    head = psutil.Process(running.process.pid)
    family = [head, *head.children(recursive=True)]
    # Shared pages count once.
    taken = {str(p.cmdline()[-8:]): p.memory_full_info().pss / 2**20 for p in family}
    assert sum(taken.values()) <= 700, taken


def test_no_secret_is_shown(running: Up, home: Path) -> None:
    password = (home / "bus" / "password").read_text()
    said = running.log() + esper(home, "status", "--json").stdout
    for process in psutil.Process(running.process.pid).children(recursive=True):
        said += " ".join(process.cmdline())
    said += "".join(log.read_text() for log in (home / "logs").iterdir())
    assert password not in said
    assert Path(running.platform().token_file).read_text() not in said


def test_a_second_platform_is_refused_and_told_of_the_first(running: Up, home: Path) -> None:
    done = esper(home, "up")
    assert done.returncode == 1
    assert str(running.process.pid) in done.stderr
    assert "Traceback" not in done.stderr
    assert running.is_ready()


def test_a_run_finds_the_platform_and_is_watched_over_its_bus(running: Up, home: Path) -> None:
    with training(home, "watched", *SLOW, "--steps", "100") as trainer:
        assert trainer.wait(PATIENCE) == 0, (home / "watched.log").read_text()
    until(lambda: all_lines_stored(running, home / "watched"), "the run in the store")
    summary, _ = stored(running.platform(), run_id_of(home / "watched"))
    assert summary is not None
    assert summary.state is RunState.FINISHED
    assert summary.step == 100

    async def carried() -> int:
        bus = await open_bus(running.platform().bus_url)
        try:
            return len([one async for one in bus.replay(TopicNames.EVENTS_TRAINING)])
        finally:
            await bus.close()

    assert asyncio.run(carried()) > 0, "it went over the bus, not straight into the store"


def test_a_blueprint_that_is_asked_for_over_the_bus_is_built_and_told_of(running: Up) -> None:
    blueprint = blueprint_of(perceptron())
    request = RequestBlueprint(blueprint=blueprint, requested_by="a test")
    topic = TopicNames.INNOVATION_BLUEPRINT_REQUESTS

    async def ask() -> None:
        bus = await open_bus(running.platform().bus_url)
        try:
            await bus.publish([OonaMessage.of(request, sender_id="test/1", topic=topic)])
        finally:
            await bus.close()

    asyncio.run(ask())
    with library(running) as asked:
        until(
            lambda: (
                blueprint.blueprint_id
                in {b.blueprint.blueprint_id for b in asked.blueprints().items}
            ),
            "the blueprint",
        )
        until(lambda: is_validated(asked, blueprint.blueprint_id), "its kernel")

    async def built() -> list[str]:
        store = await RunStore.open(running.platform().store_url)
        try:
            return [b.kernel_id or "" for b in await store.builds() if b.ended_at is not None]
        finally:
            await store.close()

    until(lambda: any(asyncio.run(built())), "the build in the observer's store")


def test_a_trainer_survives_the_loss_of_every_service_and_each_comes_back(
    running: Up, home: Path
) -> None:
    gate = home / "gate"
    before = running.restarts()
    with training(home, "survivor", *SLOW, "--steps", "1000", gate=gate) as trainer:
        until((home / "survivor" / "run.jsonl").exists, "its first line")
        for service in SERVICES:
            running.kill(service)
        until(
            lambda: all(running.restarts()[name] == before[name] + 1 for name in SERVICES),
            "their ends to be noticed",
        )
        until(running.is_ready, "all of them again")
        assert trainer.poll() is None, "it was still training when the last one was back"
        gate.touch()
        assert trainer.wait(PATIENCE) == 0, (home / "survivor.log").read_text()
    until(lambda: all_lines_stored(running, home / "survivor"), "every line in the store")
    with training(home, "alone", *SLOW, "--steps", "1000") as trainer:
        assert trainer.wait(PATIENCE) == 0
    assert logged(home / "survivor")[1:-1] == logged(home / "alone")[1:-1]


def let_lease_end(home: Path, blueprint_id: str) -> None:
    """Let the lease of a build end now: what a killed forge held is free when a minute is over."""
    with (
        closing(sqlite3.connect(home / "urza" / "urza.db", timeout=PATIENCE)) as database,
        database,
    ):
        word = "UPDATE blueprints SET lease_expires_at = 0 WHERE blueprint_id = ?"
        assert database.execute(word, (blueprint_id,)).rowcount == 1


def test_work_goes_on_after_the_forge_was_killed_in_the_middle_of_it(
    running: Up, home: Path
) -> None:
    blueprint = blueprint_of(perceptron(24), name="planted/two")
    with library(running) as asked:
        asked.submit(blueprint)

        def state() -> BlueprintState:
            return asked.blueprint(blueprint.blueprint_id).blueprint.state

        until(lambda: state() is BlueprintState.COMPILING, "the build")
        family = psutil.Process(running.pid("tezzeret")).children(recursive=True)
        running.kill("tezzeret")
        assert not psutil.wait_procs(family, timeout=PATIENCE)[1], "its workers end with it"
        let_lease_end(home, blueprint.blueprint_id)
        until(lambda: is_validated(asked, blueprint.blueprint_id), "the next one's build")
    until(running.is_ready, "all services")


def test_told_to_stop_it_drains_and_nothing_is_lost_and_killed_it_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    with up(tmp_path) as first:
        with training(tmp_path, "run", *SLOW, "--steps", "200") as trainer:
            assert trainer.wait(PATIENCE) == 0
        family = psutil.Process(first.process.pid).children(recursive=True)
        assert first.stop() == 0, first.log()
        # What served builds, orphaned by now, takes an instant more.
        assert not psutil.wait_procs(family, timeout=PATIENCE)[1]
    assert find(tmp_path) is None
    done = esper(tmp_path, "status")
    assert done.returncode == 1
    assert "esper up" in done.stderr
    with up(tmp_path) as second:
        until(lambda: all_lines_stored(second, tmp_path / "run"), "what was under way")
        family = psutil.Process(second.process.pid).children(recursive=True)
        os.kill(second.process.pid, signal.SIGKILL)
        second.process.wait(PATIENCE)
        gone, alive = psutil.wait_procs(family, timeout=PATIENCE)
        assert gone
        assert not alive, "services end with the one that runs them"
    assert find(tmp_path) is None


def test_without_a_bus_runs_are_watched_through_the_store(tmp_path: Path) -> None:
    with up(tmp_path, "--bus", "in-process", "--workers", "0") as found:
        platform = found.platform()
        assert platform.bus_url is None
        assert [record.name for record in platform.services] == ["nissa", "urza"]
        with training(tmp_path, "run", *SLOW, "--steps", "100") as trainer:
            assert trainer.wait(PATIENCE) == 0
        assert all_lines_stored(found, tmp_path / "run")
        for _ in range(2):  # its terminal is closed, and may say so several times
            found.process.send_signal(signal.SIGHUP)
        assert found.process.wait(PATIENCE) == 0, found.log()
    assert find(tmp_path) is None


def test_a_port_that_is_taken_is_named(tmp_path: Path, running: Up) -> None:
    port = running.platform().urza_url.rpartition(":")[2]
    done: subprocess.CompletedProcess[str] = esper(tmp_path, "up", "--urza-port", port)
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "Traceback" not in done.stderr
