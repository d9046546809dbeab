from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from esper.contracts.enums import RunState
from esper.contracts.errors import RunNotFoundError
from esper.dashboard.reading import KINDS, TYPES, RunReader
from esper.services.nissa.run_store import RunStore
from support import told_runs
from support.clocks import StillClock
from support.run_deliveries import delivery, read


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[RunStore]:
    opened = await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}", clock=StillClock())
    yield opened
    await opened.close()


STEP = {"type": "step", "step": 50, "train_loss": 1.0, "lr": 0.1}


def test_points_of_the_curve_and_health_are_left_to_the_curves() -> None:
    assert {"start", "eval", "event", "growth", "end", "failed"} <= set(TYPES)
    assert "step" not in TYPES
    assert "RaceStarted" in KINDS
    assert "HealthMeasured" not in KINDS


@pytest.mark.asyncio
async def test_an_account_grows_with_what_comes_in(store: RunStore) -> None:
    reader = RunReader(store)
    race = told_runs.race_lines()
    await store.append(read([delivery([told_runs.start(), STEP, *race[:1]])]))
    assert len((await reader.read("run-1"))[1].lines) == 2
    await store.append(read([delivery(race[1:], begin=1_000)]))
    _, run = await reader.read("newest")
    assert len(run.lines) == 5
    assert run.open_race is not None


@pytest.mark.asyncio
async def test_lines_stand_in_the_order_of_the_log_however_they_came(store: RunStore) -> None:
    race = told_runs.race_lines()
    await store.append(read([delivery(race, begin=1_000)]))
    await store.append(read([delivery([told_runs.start()])]))
    _, run = await RunReader(store).read("run-1")
    assert run.start is run.lines[0]


@pytest.mark.asyncio
async def test_lines_that_a_resumed_run_cut_off_are_forgotten(store: RunStore) -> None:
    reader = RunReader(store)
    await store.append(read([delivery([told_runs.start(), *told_runs.race_lines()])]))
    assert len((await reader.read("run-1"))[1].growth.races) == 1
    resumed = {"type": "resume", "step": 0, "environment": {}}
    await store.append(read([delivery([resumed], attempt=1, kept=10)]))
    _, run = await reader.read("run-1")
    assert [line.type for line in run.lines] == ["start", "resume"]
    assert run.growth.races == ()


@pytest.mark.asyncio
async def test_lines_of_another_version_are_counted_not_shown(store: RunStore) -> None:
    odd = {"type": "event", "kind": "RaceStarted", "step": 3, "horses": 5}
    await store.append(read([delivery([told_runs.start(), odd])]))
    _, run = await RunReader(store).read("run-1")
    assert (len(run.lines), run.unread) == (1, 1)


@pytest.mark.asyncio
async def test_a_run_that_is_not_there_is_said_to_be_so(store: RunStore) -> None:
    with pytest.raises(RunNotFoundError):
        await RunReader(store).read("no-such-run")


@pytest.mark.asyncio
async def test_a_run_that_went_silent_is_lost_even_without_a_new_line(tmp_path: Path) -> None:
    clock = StillClock()
    store = await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}", clock=clock)
    reader = RunReader(store)
    await store.append(read([delivery([told_runs.start()])]))
    assert (await reader.read("run-1"))[1].is_live
    clock.advance(3_600)
    assert (await reader.read("run-1"))[1].state is RunState.LOST
    await store.close()
