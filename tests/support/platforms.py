"""A whole platform for tests, as `esper up` runs it, in a folder of its own and on free ports."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from esper.contracts.runs import RunSummary
from esper.hosting.discovery import Platform, find
from esper.hosting.service import ServiceState
from esper.services.nissa.run_store import RunStore
from esper.utils.home import data_home
from support import forked
from support.urza_server import ESPER, without_library

PATIENCE = 300.0


def until(reached: Callable[[], object], what: str) -> None:
    """Wait for something; `what` is said where it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.1)


@dataclass
class Up:
    """An `esper up`."""

    home: Path
    process: subprocess.Popen[str]

    def platform(self) -> Platform:
        found = find(self.home)
        assert found is not None, self.log()
        return found

    def log(self) -> str:
        return (self.home / "up.log").read_text()

    def pid(self, service: str) -> int:
        (pid,) = [r.pid for r in self.platform().services if r.name == service]
        assert pid is not None
        return pid

    def restarts(self) -> dict[str, int]:
        return {record.name: record.restarts for record in self.platform().services}

    def is_ready(self) -> bool:
        states = [record.state for record in self.platform().services]
        return bool(states) and set(states) == {ServiceState.READY}

    def kill(self, service: str) -> None:
        os.kill(self.pid(service), signal.SIGKILL)

    def stop(self) -> int:
        """Tell it to stop, as a service manager does; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def environment(home: Path, **more: str) -> dict[str, str]:
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **without_library(),
        "ESPER_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(paths),
        # Compiled kernels are kept from test to test: the first one takes long.
        "TORCHINDUCTOR_CACHE_DIR": str(data_home() / "compiled"),
        **more,
    }


def esper(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [*ESPER, *words],
        env=environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


@contextmanager
def up(home: Path, *words: str) -> Iterator[Up]:
    """Run `esper up` within a `with` block; at its end nothing of it is left."""
    home.mkdir(exist_ok=True)
    ports = ["--urza-port", "0", "--nissa-port", "0"]
    # A port of what is not started would be refused.
    ports += [] if "--workers" in words else ["--tezzeret-port", "0"]
    ports += [] if "--bus" in words else ["--bus-port", "0"]
    with (
        (home / "up.log").open("a") as log,
        forked.Popen(
            [*ESPER, "up", *ports, *words],
            env=environment(home),
            stdout=log,
            stderr=log,
            text=True,
        ) as process,
    ):
        found = Up(home, process)
        try:
            until(lambda: find(home) is not None or process.poll() is not None, "its record")
            until(found.is_ready, "its services")
            yield found
        finally:
            family = _family(process.pid)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
            _, alive = psutil.wait_procs(family, timeout=PATIENCE)
            for one in alive:
                one.kill()
            assert not alive, f"these outlived it: {alive}"


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@contextmanager
def training(
    home: Path, name: str, *words: str, gate: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run `esper train` into `home/name` within a `with` block."""
    more = {} if gate is None else {"ESPER_TEST_GATE": str(gate)}
    command = [*ESPER, "train", "--output", str(home / name), *words]
    with (
        (home / f"{name}.log").open("w") as log,
        forked.Popen(
            command, env=environment(home, **more), cwd=home, stdout=log, stderr=log, text=True
        ) as process,
    ):
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def logged(folder: Path) -> list[dict[str, object]]:
    """The lines of a run's log."""
    return [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]


def run_id_of(folder: Path) -> str:
    found: str = json.loads((folder / "identity.json").read_text())["run_id"]
    return found


def stored(platform: Platform, run_id: str) -> tuple[RunSummary | None, int]:
    """What the platform's run store has of a run, and how many of its lines."""

    async def read() -> tuple[RunSummary | None, int]:
        store = await RunStore.open(platform.store_url)
        try:
            runs = [run for run in await store.runs(limit=1000) if run.run_id == run_id]
            if not runs:
                return None, 0
            return runs[0], len(await store.lines(run_id, limit=1_000_000))
        finally:
            await store.close()

    return asyncio.run(read())
