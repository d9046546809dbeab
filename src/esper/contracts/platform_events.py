"""Platform events: what happens outside of a training run, to services, blueprints and kernels.

Growth events, which have a training step, are in `events.py`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from esper.contracts.base import (
    Contract,
    Identifier,
    JsonObject,
    KernelId,
    Moment,
    Name,
    Named,
    NonNegative,
    Positive,
    RunId,
    Step,
    Text,
    utc_now,
)
from esper.contracts.enums import AlertRule, ComponentName, ComponentStatus, Severity
from esper.contracts.operational import FieldReport


class PlatformEvent(Named):
    """Base of the platform's events."""

    version: Literal[1] = 1
    """Version of the event's fields."""


class BuildStarted(PlatformEvent):
    """A worker of the forge began to build a blueprint."""

    blueprint_id: Identifier
    """Which blueprint."""
    worker: Name
    """Who builds."""


class BuildFinished(PlatformEvent):
    """A build ended: with a kernel in the library, or without."""

    blueprint_id: Identifier
    """Which blueprint."""
    worker: Name
    """Who built."""
    seconds: NonNegative
    """How long it took."""
    kernel_id: KernelId | None = None
    """The kernel; None where there is none."""
    reason: Text = ""
    """Why there is none, as a sentence."""


class FieldReported(PlatformEvent):
    """What an adaptation came to, for whoever learns from it."""

    run_id: RunId
    """Run of the adaptation."""
    report: FieldReport
    """How it went."""


class ComponentHealth(PlatformEvent):
    """A process says that it is there, and how it is. Sent every few seconds."""

    component: ComponentName
    """What it is."""
    instance: Name
    """Which one: unique among those of its kind."""
    status: ComponentStatus
    """How it is."""
    pid: Positive
    """Its process id, on its own machine."""
    interval_seconds: float = Field(gt=0)
    """When it will say so again; three times that without a word, and it counts as lost."""
    leaving: bool = False
    """Whether this is its last word before it ends in order."""
    details: JsonObject = Field(default_factory=dict)
    """Figures of its own: counters, rates, sizes."""


class Acknowledgement(Contract):
    """Somebody has seen an alert."""

    by: Name
    """Who."""
    at: Moment = Field(default_factory=utc_now)
    """When, UTC."""


class Alert(PlatformEvent):
    """Something needs a look, or no longer does."""

    alert_id: Identifier
    """Identity: the same from its first raising to its end."""
    rule: AlertRule
    """What was found."""
    severity: Severity
    """How much it matters."""
    subject: Name
    """What it is about: a layer, a service, a topic; empty for the run as a whole."""
    run_id: RunId | None = None
    """Run concerned, if it is about one."""
    step: Step | None = None
    """Training step at which it was found."""
    message: Text
    """What was found, with its figures, as a sentence."""
    raised_at: Moment = Field(default_factory=utc_now)
    """When it was found, UTC."""
    ended_at: Moment | None = None
    """When it was over, UTC; None while it lasts."""
    acknowledged: Acknowledgement | None = None
    """Who has seen it; None before somebody said so. The run store keeps it."""
