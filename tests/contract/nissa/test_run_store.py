"""What a run store keeps and answers, on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from esper.contracts.enums import RunState, TopicNames
from esper.contracts.errors import ConfigError, RunNotFoundError
from esper.contracts.messages import OonaMessage
from esper.contracts.ports import Delivery
from esper.services.nissa.run_store import RunStore
from support import logged_runs
from support.clocks import StillClock
from support.run_deliveries import NOW, contents, delivery, read

pytestmark = pytest.mark.asyncio

INTERRUPTED: dict[str, Any] = {"type": "interrupted", "step": 20, "signal": 2}
RESUME: dict[str, Any] = {"type": "resume", "step": 20, "environment": {}}


async def test_what_was_taken_in_is_given_back_with_growing_cursors(store: RunStore) -> None:
    lines = logged_runs.lines()
    new = await store.append(read([delivery(lines[:4]), delivery(lines[4:], begin=40)]))
    stored = await store.lines("run-1")
    assert [one.line for one in new] == list(stored)
    assert [line.body for line in stored] == lines
    assert [line.position for line in stored] == [10 * i for i in range(len(lines))]
    cursors = [line.cursor for line in stored]
    assert cursors == sorted(set(cursors))
    assert await store.newest_cursor() == cursors[-1]
    assert stored[0].at == datetime.fromtimestamp(NOW, UTC)


async def test_lines_that_came_topic_by_topic_are_stored_in_the_order_of_the_log(
    store: RunStore,
) -> None:
    lines = logged_runs.lines()
    apart = [delivery([line], begin=10 * i) for i, line in enumerate(lines)]
    new = await store.append(read([*apart[::2], *apart[1::2]]))
    assert [one.line.body for one in new] == lines
    assert [line.body for line in await store.lines("run-1")] == lines


async def test_the_same_again_is_nothing_new(store: RunStore) -> None:
    batch = delivery(logged_runs.lines())
    assert len(await store.append(read([batch, batch]))) == len(logged_runs.lines())
    before = await contents(store, "run-1")
    assert await store.append(read([batch])) == []
    assert await contents(store, "run-1") == before


async def test_a_summary_has_the_figures_of_the_newest_lines(store: RunStore) -> None:
    await store.append(read([delivery(logged_runs.lines())]))
    run = await store.run("run-1")
    assert (run.name, run.state, run.step, run.total_steps) == (
        "mnist1d mlp",
        RunState.FINISHED,
        30,
        30,
    )
    assert (run.seed, run.metric, run.higher_is_better) == (3, "accuracy", True)
    assert (run.train_loss, run.growth_loss, run.growth_metric) == (None, 0.75, 0.6)
    assert (run.test_loss, run.test_metric, run.compute) == (0.4, 0.9, 2.5)
    assert (run.parameters_before, run.parameters_after) == (100, 120)
    assert (run.races, run.fossilized, run.culled) == (0, 1, 0)


async def test_a_run_under_way_has_its_cost_and_size_from_its_lines(store: RunStore) -> None:
    await store.append(read([delivery(logged_runs.lines()[:-1])]))
    run = await store.run("run-1")
    assert run.state is RunState.RUNNING
    assert run.compute == 2.0
    assert run.parameters_after == 120


@pytest.mark.parametrize(
    ("line", "state"),
    [
        (INTERRUPTED, RunState.INTERRUPTED),
        ({"type": "failed", "step": 20, "error": "no memory"}, RunState.FAILED),
        ({"type": "end", "step": 20, "result": {"status": "finished"}}, RunState.FINISHED),
        (
            {"type": "end", "step": 20, "result": {"status": "stopped early"}},
            RunState.STOPPED_EARLY,
        ),
    ],
)
async def test_the_last_line_tells_the_state(
    store: RunStore, line: dict[str, Any], state: RunState
) -> None:
    await store.append(read([delivery([logged_runs.START, line])]))
    assert (await store.run("run-1")).state is state
    assert [run.run_id for run in await store.runs(state=state)] == ["run-1"]
    assert await store.runs(state=RunState.RUNNING) == []


async def test_a_run_that_says_nothing_for_five_minutes_is_lost_until_it_speaks(
    store: RunStore, clock: StillClock
) -> None:
    await store.append(read([delivery([logged_runs.START])]))
    clock.advance(299)
    assert (await store.run("run-1")).state is RunState.RUNNING
    clock.advance(2)
    assert (await store.run("run-1")).state is RunState.LOST
    assert len(await store.runs(state=RunState.LOST)) == 1
    await store.append(read([delivery([logged_runs.step(10, 1.0)], begin=10, at=clock.now())]))
    assert (await store.run("run-1")).state is RunState.RUNNING


async def test_a_resumed_run_voids_what_stood_behind_its_checkpoint(store: RunStore) -> None:
    lines = logged_runs.lines()
    await store.append(read([delivery([*lines[:6], INTERRUPTED])]))
    assert (await store.run("run-1")).state is RunState.INTERRUPTED
    resumed = delivery([RESUME, logged_runs.step(20, 0.25)], attempt=1, kept=40)
    assert [new.line.position for new in await store.append(read([resumed]))] == [40, 50]
    stored = await store.lines("run-1")
    assert [line.position for line in stored] == [0, 10, 20, 30, 40, 50]
    assert [line.attempt for line in stored] == [0, 0, 0, 0, 1, 1]
    assert (await store.curve("run-1", "train_loss")).values == (1.0, 0.25)
    run = await store.run("run-1")
    assert (run.state, run.attempt, run.train_loss) == (RunState.RUNNING, 1, 0.25)


async def test_what_an_earlier_attempt_said_and_comes_late_is_not_stored(store: RunStore) -> None:
    lines = logged_runs.lines()
    await store.append(read([delivery([RESUME], attempt=1, kept=40)]))
    late = await store.append(read([delivery(lines)]))
    assert [new.line.position for new in late] == [0, 10, 20, 30]


async def test_a_line_that_no_version_knows_is_kept_as_it_is(store: RunStore) -> None:
    strange = {"type": "novelty", "step": "soon", "signals": 3, "result": [1]}
    await store.append(
        read([delivery([strange, {"type": "step"}, {"type": "end", "result": None}])])
    )
    assert (await store.lines("run-1"))[0].body == strange
    assert (await store.run("run-1")).total_steps == 0


async def test_a_payload_that_is_no_lines_is_refused_and_nothing_is_taken_in(
    store: RunStore,
) -> None:
    message = OonaMessage(
        sender_id="x", topic=TopicNames.EVENTS_TRAINING, payload={"kind": "Nonsense"}
    )
    poison = Delivery(message=message, position="1", group="nissa")
    with pytest.raises(ValidationError):
        await store.append(read([delivery(logged_runs.lines()), poison]))
    assert await store.runs() == []
    assert await store.append(read([])) == []


async def test_lines_are_paged_and_chosen_by_type_and_kind(store: RunStore) -> None:
    await store.append(read([delivery(logged_runs.lines()), delivery([RESUME], run_id="run-2")]))
    first = await store.lines("run-1", limit=2)
    rest = await store.lines("run-1", after=first[-1].cursor)
    assert [line.body for line in [*first, *rest]] == logged_runs.lines()
    steps = await store.lines("run-1", types=["step"])
    assert [line.body["step"] for line in steps] == [10, 20, 30]
    fossils = await store.lines("run-1", kinds=["SeedFossilized", "SeedCulled"])
    assert [line.body["kind"] for line in fossils] == ["SeedFossilized"]
    assert len(await store.lines(None)) == len(logged_runs.lines()) + 1


async def test_runs_with_newer_lines_are_named(store: RunStore) -> None:
    await store.append(read([delivery(logged_runs.lines()), delivery([RESUME], run_id="run-2")]))
    newest = await store.newest_cursor()
    assert await store.changed_runs(-1) == ["run-1", "run-2"]
    assert await store.changed_runs(newest) == []
    await store.append(read([delivery([RESUME], run_id="run-3")]))
    assert await store.changed_runs(newest) == ["run-3"]


async def test_curves_hold_what_the_lines_hold_gaps_included(store: RunStore) -> None:
    await store.append(read([delivery(logged_runs.lines())]))
    assert await store.curve_names("run-1") == [
        "growth_loss",
        "growth_metric",
        "health/net.0/dead_neuron_ratio",
        "lr",
        "train_loss",
    ]
    loss = await store.curve("run-1", "train_loss")
    assert (loss.steps, loss.values, loss.points) == ((10, 20, 30), (1.0, 0.5, None), 3)
    assert (await store.curve("run-1", "train_loss", since=20)).steps == (20, 30)
    assert (await store.curve("run-1", "train_loss", since=15, until=20)).steps == (20,)
    dead = await store.curve("run-1", "health/net.0/dead_neuron_ratio")
    assert (dead.steps, dead.values) == ((10,), (0.25,))
    assert (await store.curve("run-1", "no such")).points == 0


async def test_a_step_that_is_logged_twice_counts_as_it_was_last(store: RunStore) -> None:
    await store.append(read([delivery([logged_runs.step(10, 3.0), logged_runs.step(10, 2.0)])]))
    assert (await store.curve("run-1", "train_loss")).values == (2.0,)


async def test_a_long_curve_keeps_what_stands_out(store: RunStore) -> None:
    spikes = {777: 99.0, 4_321: -99.0}
    lines = [logged_runs.step(step, spikes.get(step, 1.0)) for step in range(5_000)]
    await store.append(read([delivery(lines)]))
    curve = await store.curve("run-1", "train_loss", points=100)
    assert len(curve.steps) <= 100
    assert curve.points == 5_000
    found = dict(zip(curve.steps, curve.values, strict=True))
    assert {step: found.get(step) for step in spikes} == spikes


async def test_runs_are_listed_newest_first_and_found_by_text(store: RunStore) -> None:
    for number in range(5):
        start = {**logged_runs.START, "name": f"data-{number} 100%_sure"}
        batch = delivery([start], run_id=f"run-{number}", at=NOW + number)
        await store.append(read([batch]))
    assert [run.run_id for run in await store.runs(limit=2, offset=1)] == ["run-3", "run-2"]
    assert [run.run_id for run in await store.runs(text="DATA-4")] == ["run-4"]
    assert len(await store.runs(text="0%_s")) == 5
    assert await store.runs(text="%x") == []


async def test_a_run_is_found_by_the_beginning_of_its_id(store: RunStore) -> None:
    with pytest.raises(RunNotFoundError, match="empty"):
        await store.run("newest")
    await store.append(read([delivery([logged_runs.START], run_id="abc")]))
    await store.append(read([delivery([logged_runs.START], run_id="abcd", at=NOW + 1)]))
    assert (await store.run("abcd")).run_id == "abcd"
    assert (await store.run("abc")).run_id == "abc"
    assert (await store.run("newest")).run_id == "abcd"
    with pytest.raises(RunNotFoundError, match="several"):
        await store.run("ab")
    with pytest.raises(RunNotFoundError, match="abx"):
        await store.run("abx")
    with pytest.raises(RunNotFoundError, match="%"):
        await store.run("%")


async def test_a_run_that_is_forgotten_leaves_nothing(store: RunStore) -> None:
    batch = delivery(logged_runs.lines())
    other = delivery(logged_runs.lines(), run_id="run-2")
    await store.append(read([batch, other]))
    before = await contents(store, "run-2")
    await store.forget("run-1")
    with pytest.raises(RunNotFoundError):
        await store.run("run-1")
    assert await store.lines("run-1") == []
    assert await store.curve_names("run-1") == []
    assert await contents(store, "run-2") == before
    with pytest.raises(RunNotFoundError):
        await store.forget("run-1")
    assert len(await store.append(read([batch]))) == len(logged_runs.lines())


async def test_texts_of_any_kind_are_kept(store: RunStore) -> None:
    line = {"type": "x" * 300, "kind": "y" * 300, "step": 1, "error": "NUL \0, snow ☃, 😀, ' \" %"}
    await store.append(read([delivery([line], run_id="r" * 128)]))
    assert (await store.lines("r" * 128))[0].body == line


async def test_a_store_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="'mysql'"):
        await RunStore.open("mysql://x/y")
