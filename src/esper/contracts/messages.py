"""Messages: the envelope that the bus carries, and the commands that go inside it.

A command is imperative, has one handler, and raises where it cannot be carried out. Events,
what has happened, are in `events.py`. The envelope's payload is the JSON of either.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from typing import Self
from uuid import uuid4

from pydantic import BaseModel
from pydantic import Field
from pydantic import JsonValue
from pydantic import model_validator

from esper.contracts.assets import Blueprint
from esper.contracts.base import Contract
from esper.contracts.base import Count
from esper.contracts.base import Fraction
from esper.contracts.base import KernelId
from esper.contracts.base import utc_now
from esper.contracts.enums import KasminaAction
from esper.contracts.enums import TopicNames


class OonaMessage(Contract):
    """The envelope of everything that goes over the bus."""

    version: Literal[1] = 1
    """Version of the envelope."""
    event_id: str = Field(default_factory=lambda: str(uuid4()), min_length=1)
    """Identity of the message: receivers drop what they have seen."""
    sender_id: str = Field(min_length=1)
    """Who sent it."""
    topic: TopicNames
    """Where it goes."""
    payload: dict[str, JsonValue]
    """JSON of a command or an event; `kind` and `version` in it say of which."""
    trace_id: str = Field(default_factory=lambda: str(uuid4()), min_length=1)
    """Shared by all messages that follow from the same first cause."""
    timestamp: datetime = Field(default_factory=utc_now)
    """When it was sent, UTC."""

    @classmethod
    def of(
        cls, body: BaseModel, *, sender_id: str, topic: TopicNames, trace_id: str | None = None
    ) -> Self:
        """Put a command or an event into an envelope; without `trace_id` a new trace begins."""
        trace = str(uuid4()) if trace_id is None else trace_id
        payload = body.model_dump(mode="json")
        return cls(sender_id=sender_id, topic=topic, payload=payload, trace_id=trace)


class Command(Contract):
    """Base of the commands. `kind` names the class and `version` its shape."""

    version: Literal[1] = 1
    """Version of the command's fields."""


class KasminaControlCommand(Command):
    """Tell one layer of a live model to change one of its seeds at the next step boundary."""

    kind: Literal["KasminaControlCommand"] = "KasminaControlCommand"
    """Name of the command."""
    action: KasminaAction
    """What to do."""
    layer_name: str = Field(min_length=1)
    """Qualified name of the layer."""
    seed_idx: Count
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

    kind: Literal["RequestBlueprint"] = "RequestBlueprint"
    """Name of the command."""
    blueprint: Blueprint
    """What to build."""
    requested_by: str = Field(min_length=1)
    """Who asks."""


class StopTraining(Command):
    """Ask a training run to write a checkpoint and stop at the next step boundary."""

    kind: Literal["StopTraining"] = "StopTraining"
    """Name of the command."""
    run_id: str = Field(min_length=1)
    """Which run."""
    reason: str
    """Why; it goes into the run's log."""
