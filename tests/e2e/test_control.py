"""Commands reach a run over a real bus, and are carried out once, whatever becomes of its process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from esper.contracts.enums import KasminaAction, TopicNames
from esper.contracts.messages import Command, KasminaControlCommand, OonaMessage, StopTraining
from esper.core import checkpoint
from esper.core.model_wrapper import wrap
from esper.data.catalog import load
from esper.execution.artifact import pack
from esper.execution.kernel_store import LocalKernelStore
from esper.services.oona.open import open_bus
from esper.utils.run_identity import read_identity
from support.followed_process import start
from support.proven_kernels import proven

TOPIC = TopicNames.CONTROL_KASMINA_COMMANDS
WAIT_SECONDS = 300.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def kernel(home: Path) -> str:
    """Id of a kernel for the first layer, in the store of this machine."""
    bundle = load("breast-cancer")
    geometry = wrap(bundle.model(), example_input=bundle.example).kasmina_layers["0"].geometry
    assert geometry is not None
    found = proven(geometry)
    store = LocalKernelStore(home / "kernels")
    return store.put(
        pack(found.build(), found.ir, found.metadata.mode, blueprint=found.metadata.blueprint)
    )


class Trainer:
    """A run in a process, and the bus it is on."""

    def __init__(self, folder: Path, bus: str, home: Path, steps: int) -> None:
        self.folder, self.bus, self._home = folder, bus, home
        self._settings = {
            "data": "breast-cancer",
            "output": str(folder),
            "steps": steps,
            "log_every": 10,
            "eval_every": 1000,
            "checkpoint_every": 100_000,
            "growth": {"first_check": 1.0, "last_start": 0.0},
        }
        self.process: BaseProcess | None = None

    def start(self) -> None:
        resumes = self.process is not None
        self.process = start(self.folder if resumes else self._settings, self.bus, self._home)

    def kill(self) -> None:
        assert self.process is not None
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()

    def until(self, is_so: Callable[[], bool]) -> None:
        assert self.process is not None
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_so():
            assert self.process.is_alive() or is_so(), "the run ended before"
            assert time.monotonic() < deadline
            time.sleep(0.01)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The log so far, a torn last line left out."""
        path = self.folder / "run.jsonl"
        content = path.read_bytes() if path.exists() else b""
        return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]

    @property
    def results(self) -> list[tuple[str, str]]:
        """What became of commands: kind and id."""
        kinds = {"CommandCarriedOut", "CommandRefused"}
        return [(r["kind"], r["command_id"]) for r in self.records if r.get("kind") in kinds]

    @property
    def run_id(self) -> str:
        self.until(lambda: bool(self.records))
        identity = read_identity(self.folder)
        assert identity is not None
        return identity.run_id

    def send(self, *commands: Command) -> None:
        async def publish() -> None:
            bus = await open_bus(self.bus)
            try:
                await bus.publish(
                    [OonaMessage.of(c, sender_id="tests/one", topic=TOPIC) for c in commands]
                )
            finally:
                await bus.close()

        asyncio.run(publish())

    def groups(self) -> list[str]:
        """Groups that commands wait for."""

        async def ask() -> list[str]:
            bus = await open_bus(self.bus)
            try:
                return [one.group for one in await bus.lag() if one.topic is TOPIC]
            finally:
                await bus.close()

        return asyncio.run(ask())

    def command(self, action: str, **more: Any) -> KasminaControlCommand:
        fields = {"run_id": self.run_id, "layer_name": "0", "seed_idx": 0, "command_id": action}
        return KasminaControlCommand(action=KasminaAction(action), **{**fields, **more})


@pytest.fixture
def trainer(tmp_path: Path, home: Path, valkey_place: str) -> Iterator[Trainer]:
    trainer = Trainer(tmp_path / "run", valkey_place, home, 4000)
    yield trainer
    if trainer.process is not None and trainer.process.is_alive():
        trainer.kill()


def test_commands_of_a_run_that_is_killed_are_carried_out_once_in_the_run_that_goes_on(
    trainer: Trainer, kernel: str
) -> None:
    trainer.start()
    load = trainer.command("load_kernel", kernel_id=kernel)
    trainer.send(load, trainer.command("set_alpha", alpha=0.5))
    trainer.until(lambda: len(trainer.results) == 2)
    trainer.kill()  # no checkpoint holds them
    assert trainer.groups() == [f"tolaria.{trainer.run_id}"]
    trainer.send(load, trainer.command("freeze"))

    trainer.start()
    assert trainer.process is not None
    trainer.process.join(WAIT_SECONDS)
    assert trainer.process.exitcode == 0
    done = [("CommandCarriedOut", name) for name in ("load_kernel", "set_alpha", "freeze")]
    assert trainer.results == done
    (layer,) = [
        record
        for name, record in checkpoint.load(trainer.folder / "checkpoint.pt")
        .manifest["layers"]
        .items()
        if name == "0"
    ]
    seed = layer["seeds"][0]
    assert (seed["kernel_id"], seed["alpha"], seed["frozen"]) == (kernel, 0.5, True)
    summary = json.loads((trainer.folder / "result.json").read_bytes())["summary"]
    assert "Put in from outside: glu/small in layer 0." in summary
    assert trainer.groups() == []


def test_a_run_that_a_command_stops_is_not_stopped_by_it_again(trainer: Trainer) -> None:
    trainer.start()
    trainer.send(StopTraining(run_id=trainer.run_id, reason="lunch", command_id="stop"))
    assert trainer.process is not None
    trainer.process.join(WAIT_SECONDS)
    assert trainer.process.exitcode == 128 + signal.SIGTERM
    assert trainer.records[-1]["reason"] == "lunch"
    assert trainer.groups() == [], "its group left with it; what was sent meanwhile is found again"
    trainer.start()
    trainer.process.join(WAIT_SECONDS)
    assert trainer.process.exitcode == 0
    assert trainer.records[-1]["type"] == "end"
    assert trainer.results == [("CommandCarriedOut", "stop")]
    assert trainer.groups() == []
