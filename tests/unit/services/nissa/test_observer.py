"""The observer: each message has its effect once, and what cannot be followed is still stored."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from pydantic import ValidationError

from esper.contracts.enums import AlertRule, ComponentName, RunState, TopicNames
from esper.contracts.messages import topic_of
from esper.contracts.platform_events import Alert, BuildFinished, BuildStarted
from esper.contracts.ports import GroupLag
from esper.contracts.records import RunLine, RunRecords
from esper.services.nissa.followed_runs import MOST_RUNS
from esper.services.nissa.nissa_metrics import ObserverMetrics
from esper.services.nissa.observer import Observer, observing
from esper.services.nissa.run_store import RunStore
from esper.services.oona.consumer import run_consumer
from esper.services.oona.link import Link
from esper.services.oona.open import open_bus
from support import logged_runs
from support.alert_lines import component
from support.clocks import StillClock
from support.kept_spans import KeptSpans
from support.platform_deliveries import broken_sink, told
from support.run_deliveries import NOW, delivery

FAILED = {"type": "failed", "step": 9, "error": "the disk is full"}


class Watched:
    """An observer with what it counts and where its alerts go."""

    def __init__(self, store: RunStore, clock: StillClock) -> None:
        self.metrics = ObserverMetrics()
        self.alerts: list[Alert] = []
        self.spans = KeptSpans()
        sinks = [broken_sink, self.alerts.append]
        self.observer = Observer(
            store, metrics=self.metrics, sinks=sinks, spans=self.spans, clock=clock
        )

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest_asyncio.fixture
async def watched(runs: RunStore, clock: StillClock) -> Watched:
    return Watched(runs, clock)


@pytest.mark.asyncio
async def test_lines_that_come_twice_are_stored_and_counted_once(
    runs: RunStore, watched: Watched
) -> None:
    for _ in range(2):
        await watched.observer.handle([delivery(logged_runs.lines())])
    assert (await runs.run("run-1")).state is RunState.FINISHED
    assert watched.value("esper_lines_total", kind="step") == 3
    assert watched.value("esper_adaptations_total", outcome="fossilized") == 1
    assert watched.value("esper_runs_ended_total", state="finished") == 1
    assert watched.value("esper_observer_messages_total", topic="events.training") == 2


@pytest.mark.asyncio
async def test_an_alert_is_stored_and_told_to_every_sink_though_one_is_broken(
    runs: RunStore, watched: Watched
) -> None:
    await watched.observer.handle([delivery([logged_runs.START, logged_runs.step(10, None)])])
    (alert,) = watched.alerts
    assert (alert.rule, alert.run_id, alert.step) == (AlertRule.NOT_FINITE, "run-1", 10)
    assert list(await runs.alerts("run-1")) == [alert]
    assert watched.value("esper_observer_failures_total", part="sink") == 1
    await watched.observer.handle([delivery([logged_runs.step(20, 1.0)], begin=20)])
    (ended,) = await runs.alerts("run-1")
    assert ended.alert_id == alert.alert_id
    assert ended.ended_at is not None


@pytest.mark.asyncio
async def test_after_a_restart_an_open_alert_ends_under_its_own_identity(
    runs: RunStore, watched: Watched, clock: StillClock
) -> None:
    await watched.observer.handle([delivery([logged_runs.START, logged_runs.step(10, None)])])
    again = Watched(runs, clock)
    await again.observer.handle([delivery([logged_runs.step(20, 1.0)], begin=20)])
    (ended,) = again.alerts
    assert ended.alert_id == watched.alerts[0].alert_id
    assert ended.ended_at is not None


@pytest.mark.asyncio
async def test_an_alert_about_lines_that_a_resume_made_void_ends(
    runs: RunStore, watched: Watched
) -> None:
    lines = [logged_runs.START, logged_runs.step(10, 1.0), logged_runs.step(20, None)]
    await watched.observer.handle([delivery(lines)])
    resumed = {"type": "resume", "step": 10, "environment": {}, "attempt": 1}
    await watched.observer.handle([delivery([resumed], attempt=1, kept=20)])
    raised, ended = watched.alerts
    assert raised.alert_id == ended.alert_id
    assert ended.ended_at is not None


@pytest.mark.asyncio
async def test_an_adaptation_is_traced_though_lines_come_after_the_end_of_its_run(
    runs: RunStore, watched: Watched, clock: StillClock
) -> None:
    await watched.observer.handle([delivery([logged_runs.START, logged_runs.verdict()])])
    # What a run says last goes over several topics, and the end may overtake the others.
    await watched.observer.handle([delivery([logged_runs.END], begin=50)])
    await watched.observer.handle([delivery([logged_runs.step(29, 1.0)], begin=40)])
    clock.advance(3.0)
    await watched.observer.tick()
    assert [span.name for span in watched.spans.spans] == ["adaptation"]


@pytest.mark.asyncio
async def test_a_line_of_an_unknown_kind_is_stored_and_does_not_come_back(
    runs: RunStore, watched: Watched
) -> None:
    strange = {"type": "event", "kind": "SeedSang", "step": 5}
    await watched.observer.handle(
        [delivery([logged_runs.START, strange, logged_runs.step(9, 1.0)])]
    )
    assert len(await runs.lines("run-1")) == 3
    assert watched.value("esper_observer_failures_total", part="line") == 1
    assert watched.value("esper_run_step", run="run-1") == 9


@pytest.mark.asyncio
async def test_a_payload_that_is_none_is_refused_and_the_lines_beside_it_are_kept(
    runs: RunStore, watched: Watched
) -> None:
    broken = told(component(), TopicNames.HEALTH_COMPONENTS)
    broken.message.payload["pid"] = "none"
    with pytest.raises(ValidationError):
        await watched.observer.handle([broken, delivery([logged_runs.START])])
    assert len(await runs.lines("run-1")) == 1


@pytest.mark.asyncio
async def test_a_component_is_kept_and_missed_when_it_falls_silent(
    runs: RunStore, watched: Watched, clock: StillClock
) -> None:
    health = component(kernel_cache={"hits": 3, "misses": 1}, dropped={"events.race": 2})
    await watched.observer.handle([told(health, TopicNames.HEALTH_COMPONENTS)])
    assert watched.value("esper_kernel_cache_loads_total", component="tezzeret", outcome="hit") == 3
    assert watched.value("esper_messages_dropped_total", component="tezzeret") == 2
    await watched.observer.tick()
    await watched.observer.count_present()
    assert watched.value("esper_components", component="tezzeret", state="healthy") == 1
    clock.advance(60)
    again = Watched(runs, clock)
    await again.observer.recall()
    await again.observer.tick()
    await again.observer.count_present()
    assert [alert.rule for alert in again.alerts] == [AlertRule.WORKER_LOST]
    assert again.value("esper_components", component="tezzeret", state="lost") == 1
    assert again.value("esper_alerts_open", rule="worker_lost") == 1


@pytest.mark.asyncio
async def test_builds_and_alerts_of_others_are_kept(runs: RunStore, watched: Watched) -> None:
    started = BuildStarted(blueprint_id="b-1", worker="w")
    done = BuildFinished(blueprint_id="b-1", worker="w", seconds=2.0, kernel_id="a" * 64)
    topic = TopicNames.EVENTS_COMPILATION
    await watched.observer.handle([told(started, topic), told(done, topic)])
    (view,) = await runs.builds()
    assert (view.blueprint_id, view.kernel_id) == ("b-1", "a" * 64)
    assert watched.value("esper_builds_total", outcome="built") == 1


@pytest.mark.asyncio
async def test_a_bus_that_is_away_is_shown_and_a_lag_is_told_of(
    watched: Watched, clock: StillClock
) -> None:
    await watched.observer.measured(None)
    assert watched.metrics.bus == "away"
    lag = GroupLag(
        topic=TopicNames.EVENTS_RACE,
        group="tolaria.run-1",
        waiting=3,
        pending=1,
        oldest_seconds=90.0,
        consumers=1,
    )
    await watched.observer.measured([lag])
    assert watched.metrics.bus == "up"
    assert watched.alerts == []
    clock.advance(61)
    await watched.observer.measured([lag])
    where = {"topic": "events.race", "group": "tolaria"}
    assert watched.value("esper_bus_oldest_message_seconds", **where) == 90.0
    assert [alert.rule for alert in watched.alerts] == [AlertRule.BUS_LAG]


@pytest.mark.asyncio
async def test_only_so_many_runs_have_gauges_and_the_most_silent_lose_theirs(
    watched: Watched,
) -> None:
    for number in range(MOST_RUNS + 5):
        lines = [logged_runs.START, logged_runs.step(1, 1.0)]
        await watched.observer.handle([delivery(lines, run_id=f"run-{number}")])
        again = delivery([logged_runs.step(2, 1.0)], run_id="run-0", begin=20 + 10 * number)
        await watched.observer.handle([again])
    assert watched.value("esper_runs_live") == MOST_RUNS
    assert watched.value("esper_run_step", run="run-0") == 2
    assert watched.value("esper_run_step", run="run-1") is None


@pytest.mark.asyncio
async def test_a_run_has_gauges_until_it_ends_or_is_lost(
    watched: Watched, clock: StillClock
) -> None:
    await watched.observer.handle([delivery([logged_runs.START])])
    await watched.observer.handle([delivery([logged_runs.START], run_id="run-2")])
    assert watched.value("esper_runs_live") == 2
    await watched.observer.handle([delivery([logged_runs.END], begin=10)])
    assert watched.value("esper_run_step", run="run-1") is None
    clock.advance(301)
    await watched.observer.tick()
    assert watched.value("esper_runs_live") == 0


@pytest.mark.asyncio
async def test_alerts_of_a_run_that_nobody_hears_of_any_more_end(
    runs: RunStore, watched: Watched, clock: StillClock
) -> None:
    await watched.observer.handle([delivery([logged_runs.START, logged_runs.step(10, None)])])
    clock.advance(299)
    await watched.observer.tick()
    assert len(watched.alerts) == 1
    clock.advance(2)
    await watched.observer.tick()
    assert watched.alerts[-1].ended_at is not None
    assert list(await runs.alerts(open_only=True)) == []


@pytest.mark.asyncio
async def test_after_a_restart_alerts_of_runs_that_are_over_end(
    runs: RunStore, watched: Watched, clock: StillClock
) -> None:
    await watched.observer.handle([delivery([logged_runs.START, logged_runs.step(10, None)])])
    going = [
        delivery([logged_runs.START, logged_runs.step(10, None)], run_id="run-2", at=NOW + 400)
    ]
    await watched.observer.handle(going)
    clock.advance(400)
    await Watched(runs, clock).observer.recall()
    assert [alert.run_id for alert in await runs.alerts(open_only=True)] == ["run-2"]


@pytest.mark.asyncio
async def test_groups_of_runs_that_are_over_are_told_however_they_ended(
    runs: RunStore, watched: Watched, clock: StillClock
) -> None:
    lost = {"run_id": "lost"}
    interrupted = {"type": "interrupted", "step": 9, "signal": 15}
    await watched.observer.handle([delivery([logged_runs.START], **lost)])
    clock.advance(400)
    now = {"at": clock.now()}
    await watched.observer.handle(
        [
            delivery([logged_runs.START], run_id="going", **now),
            delivery([logged_runs.START, interrupted], run_id="interrupted", **now),
            delivery(logged_runs.lines(), run_id="finished", **now),
            delivery([logged_runs.START, FAILED], run_id="failed", **now),
        ]
    )
    groups = [
        "nissa",
        *(
            f"tolaria.{name}"
            for name in ["going", "interrupted", "finished", "failed", "lost", "unknown"]
        ),
    ]
    lags = [
        GroupLag(
            topic=TopicNames.CONTROL_KASMINA_COMMANDS,
            group=group,
            waiting=1,
            pending=0,
            oldest_seconds=300.0,
            consumers=1,
        )
        for group in groups
    ]
    over = await watched.observer.ended_groups(lags)
    assert {lag.group for lag in over} == {
        "tolaria.interrupted",
        "tolaria.finished",
        "tolaria.failed",
        "tolaria.lost",
    }


@pytest.mark.asyncio
async def test_what_a_link_publishes_within_a_process_is_in_the_store_when_it_has_closed(
    runs: RunStore, runs_url: str
) -> None:
    def publish() -> None:
        link = Link(
            lambda: open_bus(None), sender_id="tolaria/1", also=[observing(runs_url, run_consumer)]
        )
        for number, line in enumerate(logged_runs.lines()):
            lines = (RunLine(position=10 * number, body=line),)
            link.publish(RunRecords(run_id="r", attempt=0, lines=lines), topic=topic_of(line))
        link.publish(component(name=ComponentName.TOLARIA), topic=TopicNames.HEALTH_COMPONENTS)
        link.close(drain_seconds=60.0)
        assert dict(link.dropped) == {}

    await asyncio.to_thread(publish)
    assert len(await runs.lines("r")) == len(logged_runs.lines())
    assert (await runs.components())[0].health.component is ComponentName.TOLARIA
