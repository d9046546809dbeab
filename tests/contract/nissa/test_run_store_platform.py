"""Alerts, components, builds and kernels in a run store, on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from esper.contracts.enums import AlertRule, ComponentName, ComponentStatus, KernelMode, Severity
from esper.contracts.errors import AlertNotFoundError
from esper.contracts.events import RaceDecided, RaceStarted
from esper.contracts.growth import CandidateStanding
from esper.contracts.platform_events import (
    Acknowledgement,
    Alert,
    BuildFinished,
    BuildStarted,
    ComponentHealth,
)
from esper.services.nissa.run_store import RunStore
from support import logged_runs
from support.clocks import StillClock
from support.run_deliveries import NOW, delivery, read

pytestmark = pytest.mark.asyncio

BEGAN = datetime.fromtimestamp(NOW, UTC)
SECOND = timedelta(seconds=1)
KERNEL = "ab" * 32


def _alert(alert_id: str, run_id: str | None = "run-1", **fields: Any) -> Alert:
    return Alert(
        alert_id=alert_id,
        rule=AlertRule.LOSS_SPIKE,
        severity=Severity.WARNING,
        subject="",
        run_id=run_id,
        message="the loss jumped",
        **{"raised_at": BEGAN, **fields},
    )


def _health(instance: str, **fields: Any) -> ComponentHealth:
    return ComponentHealth(
        component=ComponentName.URZA,
        instance=instance,
        status=ComponentStatus.HEALTHY,
        pid=7,
        interval_seconds=5,
        **fields,
    )


async def test_alerts_come_newest_first_and_can_be_chosen(store: RunStore) -> None:
    first, second = _alert("a"), _alert("b", None, raised_at=BEGAN + SECOND)
    await store.save(first)
    await store.save(second)
    assert await store.alerts() == [second, first]
    assert await store.alerts("run-1") == [first]
    assert await store.alerts(limit=1) == [second]


async def test_an_alert_that_has_ended_stays_ended_whatever_comes_late(store: RunStore) -> None:
    raised, ended = _alert("a"), _alert("a", ended_at=BEGAN + SECOND)
    await store.save(ended)
    await store.save(raised)
    assert await store.alerts() == [ended]
    assert await store.alerts(open_only=True) == []


async def test_who_saw_an_alert_first_stays_and_outlives_its_end(
    store: RunStore, clock: StillClock
) -> None:
    await store.save(_alert("a"))
    seen = await store.acknowledge("a", "ada\x1b")
    assert seen.acknowledged == Acknowledgement(by=r"ada\x1b", at=BEGAN)
    clock.advance(60)
    assert await store.acknowledge("a", "bob") == seen
    await store.save(_alert("a", ended_at=BEGAN + SECOND))
    (alert,) = await store.alerts()
    assert alert.acknowledged == seen.acknowledged
    assert alert.ended_at == BEGAN + SECOND
    with pytest.raises(AlertNotFoundError, match="no alert 'b'"):
        await store.acknowledge("b", "ada")


async def test_a_component_is_lost_after_three_intervals_unless_it_took_its_leave(
    store: RunStore, clock: StillClock
) -> None:
    await store.save(_health("one"), BEGAN)
    await store.save(_health("two", leaving=True), BEGAN)
    clock.advance(14)
    assert [view.lost for view in await store.components()] == [False, False]
    clock.advance(2)
    assert {v.health.instance: v.lost for v in await store.components()} == {
        "one": True,
        "two": False,
    }


async def test_what_a_component_said_last_counts_not_what_came_last(store: RunStore) -> None:
    newer = _health("one", details={"requests": 2})
    await store.save(newer, BEGAN + SECOND)
    await store.save(_health("one", details={"requests": 1}), BEGAN)
    (view,) = await store.components()
    assert view.health == newer
    assert view.seen_at == BEGAN + SECOND


async def test_beginnings_and_ends_of_builds_are_joined(store: RunStore) -> None:
    began = BuildStarted(blueprint_id="bp-1", worker="w")
    failed = BuildFinished(blueprint_id="bp-1", worker="w", seconds=2, reason="does not fit")
    done = BuildFinished(blueprint_id="bp-1", worker="w", seconds=3, kernel_id=KERNEL)
    for build, after in ((done, 9), (began, 0), (failed, 2), (began, 6), (began, 6)):
        await store.save(build, BEGAN + after * SECOND)
    await store.save(BuildStarted(blueprint_id="bp-2", worker="w"), BEGAN + 10 * SECOND)
    builds = await store.builds()
    assert [(b.blueprint_id, b.seconds, b.kernel_id, b.reason) for b in builds] == [
        ("bp-2", None, None, ""),
        ("bp-1", 3.0, KERNEL, ""),
        ("bp-1", 2.0, None, "does not fit"),
    ]
    assert [b.blueprint_id for b in await store.builds(limit=1)] == ["bp-2"]


async def test_the_end_of_a_build_whose_beginning_was_not_heard_is_shown(store: RunStore) -> None:
    await store.save(BuildFinished(blueprint_id="b", worker="w", seconds=2), BEGAN)
    (build,) = await store.builds()
    assert (build.started_at, build.ended_at) == (None, BEGAN)


def _race(kernel_id: str | None, *, wins: bool) -> list[dict[str, Any]]:
    standing = CandidateStanding(
        candidate="mlp/m",
        layer_name="net.0",
        family="mlp",
        mode=KernelMode.REPLACING,
        kernel_id=kernel_id,
        gain=0.3,
    )
    started = RaceStarted(step=5, layers=("net.0",), candidates=(standing,), window_steps=9)
    decided = RaceDecided(step=9, winner=standing if wins else None, reason="so")
    return [
        {"type": "event", **started.model_dump(mode="json")},
        {"type": "event", **decided.model_dump(mode="json")},
    ]


async def test_a_kernel_is_found_in_every_run_that_it_was_in(store: RunStore) -> None:
    library = {"type": "library", "step": 0, "entered": [KERNEL]}
    lines = [logged_runs.START, library, *_race(KERNEL, wins=False)]
    await store.append(read([delivery(lines, run_id="late", at=NOW + 5)]))
    await store.append(
        read([delivery([logged_runs.START, *_race(KERNEL, wins=True)], run_id="early")])
    )
    await store.append(
        read([delivery([logged_runs.START, *_race(None, wins=True)], run_id="without")])
    )
    entries = await store.kernel_history(KERNEL)
    assert [(s.run_id, s.role, s.outcome, s.step) for s in entries] == [
        ("early", "grown", "racing", 9),
        ("late", "entered", "no_winner", 9),
    ]
    assert await store.kernel_history("cd" * 32) == []


async def test_a_kernel_is_not_found_in_lines_that_are_void(store: RunStore) -> None:
    await store.append(read([delivery([logged_runs.START, *_race(KERNEL, wins=True)])]))
    resumed = {"type": "resume", "step": 0, "environment": {}}
    await store.append(read([delivery([resumed], attempt=1, kept=10)]))
    assert await store.kernel_history(KERNEL) == []
