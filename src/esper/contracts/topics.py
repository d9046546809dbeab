"""Topics: what each topic of the bus carries."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel

from esper.contracts.enums import TopicNames
from esper.contracts.messages import KasminaControlCommand, RequestBlueprint, StopTraining
from esper.contracts.platform_events import (
    Alert,
    BuildFinished,
    BuildStarted,
    ComponentHealth,
    FieldReported,
)
from esper.contracts.records import RunRecords

PAYLOADS: Final[Mapping[TopicNames, tuple[type[BaseModel], ...]]] = MappingProxyType(
    {
        TopicNames.TELEMETRY_TRAINING: (RunRecords,),
        TopicNames.TELEMETRY_SEED_HEALTH: (RunRecords,),
        TopicNames.EVENTS_TRAINING: (RunRecords,),
        TopicNames.EVENTS_RACE: (RunRecords,),
        TopicNames.EVENTS_SEED: (RunRecords,),
        TopicNames.EVENTS_COMPILATION: (BuildStarted, BuildFinished),
        TopicNames.CONTROL_ADAPTATION_DECISIONS: (RunRecords,),
        TopicNames.CONTROL_KASMINA_COMMANDS: (KasminaControlCommand, StopTraining),
        TopicNames.CONTROL_RESULTS: (RunRecords,),
        TopicNames.HEALTH_COMPONENTS: (ComponentHealth,),
        TopicNames.HEALTH_ALERTS: (Alert,),
        TopicNames.INNOVATION_BLUEPRINT_REQUESTS: (RequestBlueprint,),
        TopicNames.INNOVATION_FIELD_REPORTS: (FieldReported,),
    }
)
"""Payload types by topic."""

_RUN_GROUPS: Final = "tolaria."


def run_group(run_id: str) -> str:
    """The group of the bus that takes a run's commands, while it trains."""
    return f"{_RUN_GROUPS}{run_id}"


def run_of(group: str) -> str | None:
    """The run whose commands a group takes; None where it is a service's."""
    return group.removeprefix(_RUN_GROUPS) if group.startswith(_RUN_GROUPS) else None


_EVENT_TOPICS: Final[Mapping[str, TopicNames]] = MappingProxyType(
    {
        "HealthMeasured": TopicNames.TELEMETRY_SEED_HEALTH,
        "AdaptationDecided": TopicNames.CONTROL_ADAPTATION_DECISIONS,
        "CommandCarriedOut": TopicNames.CONTROL_RESULTS,
        "CommandRefused": TopicNames.CONTROL_RESULTS,
        "RaceStarted": TopicNames.EVENTS_RACE,
        "RungFinished": TopicNames.EVENTS_RACE,
        "RaceDecided": TopicNames.EVENTS_RACE,
        "SeedGerminated": TopicNames.EVENTS_SEED,
        "GraftStarted": TopicNames.EVENTS_SEED,
        "GraftEvaluated": TopicNames.EVENTS_SEED,
        "SeedRetreated": TopicNames.EVENTS_SEED,
        "SeedFossilized": TopicNames.EVENTS_SEED,
        "SeedCulled": TopicNames.EVENTS_SEED,
        "SeedIsolated": TopicNames.EVENTS_SEED,
        "VerdictReached": TopicNames.EVENTS_SEED,
    }
)


def topic_of(line: Mapping[str, object]) -> TopicNames:
    """The topic that carries a line of a run's log."""
    kind = line.get("type")
    if kind in {"step", "eval"}:
        return TopicNames.TELEMETRY_TRAINING
    if kind == "event":
        return _EVENT_TOPICS.get(str(line.get("kind")), TopicNames.EVENTS_TRAINING)
    return TopicNames.EVENTS_TRAINING
