"""Messages: the envelope that the bus carries, and the commands that go inside it.

A command is imperative, has one handler, and raises where it cannot be carried out. Events,
what has happened, are in `events.py` and `platform_events.py`; what a training run writes into
its log travels as `RunRecords` (`records.py`). The envelope's payload is the JSON of one of them;
`PAYLOADS` says which topic carries what.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self
from uuid import uuid4

from pydantic import BaseModel, Field, TypeAdapter, model_validator

from esper.contracts.assets import Blueprint
from esper.contracts.base import (
    Body,
    Contract,
    Count,
    Fraction,
    Identifier,
    KernelId,
    Moment,
    Name,
    Named,
    RunId,
    SlotIndex,
    Text,
    utc_now,
)
from esper.contracts.enums import KasminaAction, TopicNames
from esper.contracts.platform_events import (
    Alert,
    BuildFinished,
    BuildStarted,
    ComponentHealth,
    FieldReported,
)
from esper.contracts.records import RunRecords


class Claim(Contract):
    """Where a payload lies that is too large for the bus."""

    key: Name = Field(min_length=1)
    """Its key in the object store."""
    digest: KernelId
    """SHA-256 of its JSON."""
    size: Count
    """Bytes of its JSON."""


class OonaMessage(Contract):
    """The envelope of everything that goes over the bus."""

    version: Literal[1] = 1
    """Version of the envelope."""
    event_id: Identifier = Field(default_factory=lambda: str(uuid4()))
    """Identity of the message: receivers drop what they have seen."""
    sender_id: Name = Field(min_length=1)
    """Who sent it: `component/instance`, for example `tolaria/<run id>`."""
    topic: TopicNames
    """Where it goes."""
    payload: Body
    """JSON of a command or an event; `kind` and `version` in it say of which. Empty while the
    payload waits under `claim`, which receivers never see: the bus puts it back."""
    trace_id: Identifier = Field(default_factory=lambda: uuid4().hex)
    """Shared by all messages that follow from the same first cause: 32 hexadecimal digits, a
    W3C trace id."""
    traceparent: Name | None = None
    """The span that sent it, as the W3C header of that name; None where nobody traces."""
    timestamp: Moment = Field(default_factory=utc_now)
    """When it was sent, UTC."""
    claim: Claim | None = None
    """Where the payload lies, on its way through the bus."""

    @classmethod
    def of(
        cls,
        body: BaseModel,
        *,
        sender_id: str,
        topic: TopicNames,
        trace_id: str | None = None,
        traceparent: str | None = None,
    ) -> Self:
        """Put a command or an event into an envelope; without `trace_id` a new trace begins."""
        return cls(
            sender_id=sender_id,
            topic=topic,
            payload=body.model_dump(mode="json"),
            trace_id=uuid4().hex if trace_id is None else trace_id,
            traceparent=traceparent,
        )


class Command(Named):
    """Base of the commands."""

    version: Literal[1] = 1
    """Version of the command's fields."""
    command_id: Identifier = Field(default_factory=lambda: str(uuid4()))
    """Identity of the command: carried out once, however often it arrives."""


class KasminaControlCommand(Command):
    """Tell one layer of a live model to change one of its seeds at the next step boundary."""

    run_id: RunId
    """Which training run."""
    action: KasminaAction
    """What to do."""
    layer_name: Name = Field(min_length=1)
    """Qualified name of the layer."""
    seed_idx: SlotIndex
    """Slot within the layer."""
    kernel_id: KernelId | None = None
    """The kernel to load; required by `load_kernel`, refused by the others."""
    alpha: Fraction | None = None
    """The blending coefficient; required by `set_alpha`, refused by the others."""

    @model_validator(mode="after")
    def _arguments_fit_the_action(self) -> Self:
        wanted = {KasminaAction.LOAD_KERNEL: "kernel_id", KasminaAction.SET_ALPHA: "alpha"}
        for action, name in wanted.items():
            given = getattr(self, name) is not None
            if given != (self.action is action):
                verb = "needs" if self.action is action else "does not take"
                raise ValueError(f"the action {self.action.value!r} {verb} {name!r}")
        return self


class RequestBlueprint(Command):
    """Ask for a kernel to be built from this blueprint."""

    blueprint: Blueprint
    """What to build."""
    requested_by: Name = Field(min_length=1)
    """Who asks."""


class StopTraining(Command):
    """Ask a training run to write a checkpoint and stop at the next step boundary."""

    run_id: RunId
    """Which run."""
    reason: Text
    """Why; it goes into the run's log."""


AnyCommand = Annotated[
    KasminaControlCommand | RequestBlueprint | StopTraining, Field(discriminator="kind")
]
"""Any command, told apart by `kind`."""

_ADAPTER: TypeAdapter[AnyCommand] = TypeAdapter(AnyCommand)


def parse_command(data: object) -> AnyCommand:
    """Read a command from its JSON object, as `model_dump(mode="json")` wrote it.

    Raises:
        pydantic.ValidationError: The kind is unknown or a field is not as it should be.
    """
    return _ADAPTER.validate_python(data)


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
