"""A run is the same whoever follows it: nobody, an observer, a bus, or a server that never answers."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from esper import bootstrap
from esper.contracts.enums import TopicNames
from esper.contracts.records import RunLine, RunRecords
from esper.core import checkpoint
from esper.services.nissa.run_store import RunStore
from esper.services.oona.open import open_bus
from esper.services.tolaria.training_config import config_from_mapping
from esper.utils.run_identity import read_identity

GROWING = {
    "data": "mnist1d",
    "steps": 250,
    "log_every": 10,
    "growth": {
        "families": ["conv1d"],
        "race_compute": 4.0,
        "limits": {"max_compute": None},
        "rung": 0.12,
        "shadow_batch": 1.0,
        "min_gain": 0.0,
    },
}


def train(place: Path, name: str, **options: Any) -> Path:
    """A growing run, moved to a folder of its own: all of them were told the same settings."""
    config = config_from_mapping({**GROWING, "output": str(place / "run")})
    bootstrap.train(config, **options)
    return Path(shutil.move(place / "run", place / name))


def repeating(folder: Path) -> list[dict[str, Any]]:
    """The log without the two measurements of time that it holds."""
    lines = (folder / "run.jsonl").read_text(encoding="utf-8").splitlines()
    records: list[dict[str, Any]] = [json.loads(line) for line in lines]
    for record in records:
        for measured in record.get("signals", []):
            del measured["execution_latency"]
    del records[-1]["result"]["seconds"]
    return records


def log_of(folder: Path) -> list[RunLine]:
    found, position = [], 0
    for line in (folder / "run.jsonl").read_bytes().splitlines(keepends=True):
        found.append(RunLine(position=position, body=json.loads(line)))
        position += len(line)
    return found


def without_time(line: RunLine) -> RunLine:
    body = {name: value for name, value in line.body.items() if name != "step_seconds"}
    return RunLine(position=line.position, body=body)


def assert_same_run(folder: Path, alone: Path) -> None:
    assert repeating(folder) == repeating(alone)
    states = [checkpoint.load(place / "checkpoint.pt").model for place in (folder, alone)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("followed")


@pytest.fixture(scope="module")
def alone(place: Path) -> Path:
    """A run that nobody follows."""
    config = config_from_mapping({**GROWING, "output": str(place / "run")})
    bootstrap.TolariaTrainer(config).run()
    return Path(shutil.move(place / "run", place / "alone"))


@pytest.fixture
def black_hole() -> Iterator[str]:
    """URL of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


def test_with_an_observer_in_its_process_a_run_is_the_same_and_the_store_has_every_line(
    place: Path, alone: Path
) -> None:
    url = f"sqlite:///{place / 'runs.db'}"
    folder = train(place, "observed", store=url)
    assert_same_run(folder, alone)

    async def stored() -> list[RunLine]:
        store = await RunStore.open(url)
        try:
            (run,) = await store.runs()
            assert (run.state.value, run.step) == ("finished", 250)
            lines = await store.lines(run.run_id, limit=10_000)
            return [RunLine(position=line.position, body=line.body) for line in lines]
        finally:
            await store.close()

    kept = sorted(asyncio.run(stored()), key=lambda line: line.position)
    assert [without_time(line) for line in kept] == log_of(folder)


def test_with_a_bus_a_run_is_the_same_and_the_bus_has_every_line(
    place: Path, alone: Path, valkey_place: str
) -> None:
    folder = train(place, "bus", bus=valkey_place)
    assert_same_run(folder, alone)
    identity = read_identity(folder)
    assert identity is not None

    async def carried() -> list[RunLine]:
        bus = await open_bus(valkey_place)
        try:
            bodies = [m.payload for topic in TopicNames async for _, m in bus.replay(topic)]
        finally:
            await bus.close()
        records = [RunRecords.model_validate(b) for b in bodies if b["kind"] == "RunRecords"]
        assert {one.run_id for one in records} == {identity.run_id}
        return [line for one in records for line in one.lines]

    sent = sorted(asyncio.run(carried()), key=lambda line: line.position)
    assert [without_time(line) for line in sent] == log_of(folder)


def test_a_bus_that_never_answers_changes_nothing_and_what_is_missing_is_told(
    place: Path, alone: Path, black_hole: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = train(place, "unheard", bus=black_hole)
    assert_same_run(folder, alone)
    assert "esper runs import" in caplog.text


def test_a_store_that_cannot_be_used_changes_nothing_and_is_told_in_one_line(
    place: Path, alone: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = place / "damaged.db"
    store.write_bytes(b"x" * 8192)
    folder = train(place, "unstored", store=f"sqlite:///{store}")
    assert_same_run(folder, alone)
    told = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len([one for one in told if f"{store} is damaged" in one.getMessage()]) == 1
    assert f"esper runs import {place / 'run'}" in told[-1].getMessage()
    assert all(record.exc_info is None for record in told)
