"""Events: what has happened, in the past tense, each with the training step it happened at.

Every event carries `kind` (its class name) and `version` (of its fields), so that a line of a
run log or a message on the bus says by itself what it is. `parse_event` reads one back.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from esper.contracts.base import (
    Count,
    Fraction,
    Identifier,
    KernelId,
    Name,
    Named,
    NonNegative,
    Several,
    SlotIndex,
    Step,
    Text,
    Whole,
)
from esper.contracts.enums import KernelMode
from esper.contracts.growth import CandidateStanding, GrowthDecision
from esper.contracts.operational import AdaptationDecision, FieldReport, HealthSignal


class Event(Named):
    """Base of the events."""

    version: Literal[1] = 1
    """Version of the event's fields."""
    step: Step
    """Training step at which it happened."""


class SeedEventBase(Event):
    """Base of the events about one seed."""

    layer_name: Name
    """Qualified name of the layer."""
    seed_idx: SlotIndex = 0
    """Slot within the layer."""
    blueprint: Name = ""
    """Name of the blueprint that the kernel was built from."""


class AdaptationDecided(Event):
    """A controller decided upon an adaptation."""

    decision: AdaptationDecision
    """What and why."""


class RaceStarted(Event):
    """Candidates began to train in the shadow of their hosts."""

    race: Count = 0
    """Number of the race within the run."""
    layers: Several[Name]
    """Layers that candidates compete for."""
    candidates: Several[CandidateStanding]
    """Who competes, the controls included."""
    window_steps: Count
    """Length of the race."""
    rungs: Count = 1
    """Number of marks at which the worst leave."""


class RungFinished(Event):
    """A mark of a race was reached: the candidates were compared, the worst left."""

    race: Count = 0
    """Number of the race within the run."""
    rung: Count
    """Which mark, from 0."""
    standings: Several[CandidateStanding]
    """All who were compared, best first."""


class RaceDecided(Event):
    """A race ended. No winner is a fine outcome."""

    race: Count = 0
    """Number of the race within the run."""
    winner: CandidateStanding | None = None
    """Who won, if anyone earned its rent and beat the control."""
    standings: Several[CandidateStanding] = ()
    """The last comparison, best first."""
    reason: Text
    """Why it came out so, as a sentence."""


class SeedGerminated(SeedEventBase):
    """A slot was given a kernel."""

    mode: KernelMode
    """How the kernel joins its host."""
    kernel_id: KernelId | None = None
    """The kernel's file, if it came from one."""
    parameters: Count = 0
    """The kernel's trainable scalars."""


class GraftStarted(SeedEventBase):
    """Alpha began to rise."""

    mode: KernelMode
    """How the kernel joins its host."""
    target_alpha: Fraction = 1.0
    """Where alpha is going."""
    duration_steps: Count
    """How many steps it takes."""
    schedule: Name
    """Shape of the rise: linear, cosine or sigmoid."""


class GraftEvaluated(SeedEventBase):
    """The counterfactual was measured again, with alpha at its target."""

    gain: float | None
    """Growth loss at alpha 0 minus growth loss as it is; None where it was not finite."""
    ci_low: float | None
    """Lower end of the gain's bootstrap confidence interval."""
    ci_high: float | None
    """Upper end of the gain's bootstrap confidence interval."""
    kept: bool
    """Whether the kernel stays."""


class SeedRetreated(SeedEventBase):
    """Alpha went back to 0; the kernel is still there."""

    reason: Text
    """Why, as a sentence."""


class SeedFossilized(SeedEventBase):
    """A kernel became part of the model for good."""

    host_dropped: bool
    """Whether the host layer's own parameters were removed."""
    parameters: Whole
    """Trainable scalars of the whole model, after."""
    report: FieldReport | None = None
    """The evidence."""


class SeedCulled(SeedEventBase):
    """A kernel was removed; the layer computes what its host computes."""

    reason: Text
    """Why, as a sentence."""
    report: FieldReport | None = None
    """The evidence."""


class SeedIsolated(SeedEventBase):
    """A kernel failed too often and is bypassed."""

    failures: Count
    """Failed calls within the executor's window of steps."""
    reason: Text
    """The last failure."""


class RolledBack(Event):
    """The governor put model and optimizer back to the last good state."""

    to_step: Step
    """The step whose state was restored."""
    reason: Text
    """What went wrong, as a sentence."""


class LearningRateRewarmed(SeedEventBase):
    """The learning rate of a kernel that came in began to rise, to fall to 0 by the run's end."""

    peak: NonNegative
    """Highest learning rate of the new warm-up."""
    warmup_steps: Count
    """Its length."""


class HealthMeasured(Event):
    """Health signals were taken."""

    signals: Several[HealthSignal]
    """One for each layer."""


class VerdictReached(Event):
    """A decision about a candidate or a kernel, with the evidence that it rests on."""

    decision: GrowthDecision
    """What, about whom, on which evidence, and why."""


class CommandCarriedOut(Event):
    """A command that came over the bus was carried out at this step's boundary."""

    command_id: Identifier
    """Which command."""
    command: Text
    """Its kind and action, in a few words."""


class CommandRefused(Event):
    """A command that came over the bus could not be carried out; nothing was changed."""

    command_id: Identifier
    """Which command."""
    command: Text
    """Its kind and action, in a few words."""
    reason: Text
    """Why, as a sentence."""


AnyEvent = Annotated[
    AdaptationDecided
    | RaceStarted
    | RungFinished
    | RaceDecided
    | SeedGerminated
    | GraftStarted
    | GraftEvaluated
    | SeedRetreated
    | SeedFossilized
    | SeedCulled
    | SeedIsolated
    | RolledBack
    | LearningRateRewarmed
    | HealthMeasured
    | VerdictReached
    | CommandCarriedOut
    | CommandRefused,
    Field(discriminator="kind"),
]
"""Any event, told apart by `kind`."""

_ADAPTER: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


def parse_event(data: object) -> AnyEvent:
    """Read an event from its JSON object, as `model_dump(mode="json")` wrote it.

    Raises:
        pydantic.ValidationError: The kind is unknown or a field is not as it should be.
    """
    return _ADAPTER.validate_python(data)
