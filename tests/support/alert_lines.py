"""Lines of a run as rules of alerts look at them, parsed as from a log, and what rules say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from esper.contracts.enums import ComponentName, ComponentStatus
from esper.contracts.events import AnyEvent
from esper.contracts.platform_events import ComponentHealth
from esper.contracts.records import AnyRecord, parse_record
from esper.services.nissa.alerts.watch import Findings, Rule

Parsed = AnyRecord | AnyEvent
START = 1_800_000_000.0


def step(number: int, loss: float | None) -> Parsed:
    return parse_record({"type": "step", "step": number, "train_loss": loss, "lr": 0.01})


def evaluation(number: int, loss: float | None) -> Parsed:
    line = {"type": "eval", "step": number, "train_loss": 1.0, "growth_metric": 0.5}
    return parse_record({**line, "growth_loss": loss})


def event(kind: str, number: int, **fields: Any) -> Parsed:
    return parse_record({"type": "event", "kind": kind, "step": number, **fields})


def health(number: int, layer: str = "0", **measured: Any) -> Parsed:
    signal = {"layer_id": 0, "layer_name": layer, "step": number, **measured}
    return event("HealthMeasured", number, signals=[signal])


def race_started(number: int, *, race: int = 0, window: int = 90) -> Parsed:
    return event(
        "RaceStarted", number, race=race, layers=["0"], candidates=[], window_steps=window, rungs=3
    )


def race_decided(number: int, *, race: int = 0) -> Parsed:
    return event("RaceDecided", number, race=race, reason="nobody earned its rent")


def seed(kind: str, number: int, **fields: Any) -> Parsed:
    return event(kind, number, layer_name="0", blueprint="conv1d/medium", **fields)


def graft_started(number: int) -> Parsed:
    return seed("GraftStarted", number, mode="replacing", duration_steps=12, schedule="linear")


def findings(rule: Rule, records: Sequence[Parsed]) -> list[Findings]:
    """What a rule says of each line, one after the other."""
    return [dict(rule.observe(record, moment(60 * i))) for i, record in enumerate(records)]


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


def component(
    instance: str = "worker-1",
    *,
    name: ComponentName = ComponentName.TEZZERET,
    leaving: bool = False,
    **details: Any,
) -> ComponentHealth:
    return ComponentHealth(
        component=name,
        instance=instance,
        status=ComponentStatus.HEALTHY,
        pid=42,
        interval_seconds=5.0,
        leaving=leaving,
        details=details,
    )
