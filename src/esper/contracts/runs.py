"""Runs: what a run store answers when it is asked about training runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from esper.contracts.base import (
    Body,
    Contract,
    Count,
    Identifier,
    KernelId,
    Moment,
    Name,
    Place,
    RunId,
    Series,
    Step,
    Text,
    Whole,
)
from esper.contracts.enums import AdaptationOutcome, RunState, Verdict
from esper.contracts.platform_events import ComponentHealth


class RunSummary(Contract):
    """One run in a list."""

    run_id: RunId
    """Identity of the run."""
    name: Name
    """`data model`."""
    state: RunState
    """Where it is."""
    folder: Place
    """Its folder, on its own machine."""
    attempt: Count
    """How often it was resumed."""
    started_at: Moment
    """When its first line was heard of, UTC."""
    updated_at: Moment
    """When its newest line was heard of, UTC."""
    step: Step
    """Newest training step that is known."""
    total_steps: Step
    """Steps planned."""
    seed: Whole | None = None
    """Of everything random in the run."""
    metric: Name = "metric"
    """Name of the metric."""
    higher_is_better: bool = True
    """Direction of the metric."""
    train_loss: float | None = None
    """The newest."""
    growth_loss: float | None = None
    """The newest, on the growth split."""
    growth_metric: float | None = None
    """The newest, on the growth split."""
    test_loss: float | None = None
    """At the end, on the test split."""
    test_metric: float | None = None
    """At the end, on the test split."""
    parameters_before: Count = 0
    """Trainable scalars of the model as it was given."""
    parameters_after: Count = 0
    """Trainable scalars of the model as it is now."""
    races: Count = 0
    """Races that were decided."""
    fossilized: Count = 0
    """Kernels that became permanent."""
    culled: Count = 0
    """Kernels that were removed again."""
    compute: float | None = None
    """All compute so far, as a multiple of the static model's whole training."""
    seconds: float | None = None
    """Time spent training; None until the run has ended."""
    summary: Text = ""
    """What happened, as a sentence; empty until the run has ended."""


class StoredLine(Contract):
    """One line of a run's log, as the store holds it."""

    cursor: Count
    """Grows with every line that the store takes in, over all runs: what is newer has more."""
    position: Count
    """Byte of the log at which the line begins."""
    attempt: Count
    """Attempt that wrote it."""
    at: Moment
    """When it was sent, UTC."""
    trace_id: Identifier
    """Trace that it belongs to."""
    body: Body
    """The line; `esper.contracts.records.parse_record` reads it."""


class Curve(Contract):
    """A figure over the steps of a run."""

    name: Name
    """Which figure: `train_loss`, `growth_loss`, `growth_metric`, `lr`, `step_seconds`, or
    `health/<layer>/<measurement>`."""
    steps: Series[Step]
    """Training steps, in order."""
    values: Series[float | None]
    """One for each step; None where it was not finite."""
    points: Count
    """How many points the store holds: more than are given where it thinned them out."""


class Impact(Contract):
    """What was expected of an adaptation, and what it came to."""

    layer_name: Name
    """Qualified name of the layer."""
    candidate: Name
    """`family/size` of the kernel."""
    kernel_id: KernelId | None = None
    """The kernel's file, if there is one."""
    grafted_at: Step
    """Step at which alpha began to rise."""
    predicted: float | None
    """Gain that the race found: relative fall of the calibrated growth loss against the host."""
    predicted_low: float | None = None
    """Lower end of its confidence interval."""
    predicted_high: float | None = None
    """Upper end of its confidence interval."""
    judged_at: Step | None = None
    """Step at which the graft was judged; None while it goes on."""
    verdict: Verdict | Literal[""] = ""
    """`fossilise`, `cull` or `roll back`; empty while it goes on."""
    outcome: float | None = None
    """Gain at the verdict, measured the same way."""
    outcome_low: float | None = None
    """Lower end of its confidence interval."""
    outcome_high: float | None = None
    """Upper end of its confidence interval."""
    within: bool | None = None
    """Whether the outcome lies in the predicted interval; None where one of them is missing."""


class ComponentView(Contract):
    """A process of the platform, as it was last heard of."""

    health: ComponentHealth
    """What it said."""
    seen_at: Moment
    """When, UTC."""
    lost: bool = False
    """Whether it has said nothing for three of its intervals, and did not take its leave."""

    @property
    def state(self) -> str:
        """`left`, `lost`, or how it said that it is: a `ComponentStatus`."""
        gone = "left" if self.health.leaving else "lost" if self.lost else ""
        return gone or self.health.status.value


class KernelHistoryEntry(Contract):
    """What one kernel did in one run: a station of its life over runs."""

    kernel_id: KernelId
    """The kernel's file."""
    run_id: RunId
    """The run."""
    run_name: Name
    """`data model` of the run."""
    layer_name: Name
    """Qualified name of the layer that it competed for."""
    candidate: Name
    """`family/size`."""
    role: Literal["entered", "grown"]
    """`entered` where it came from a library, `grown` where the run made it."""
    outcome: AdaptationOutcome | Literal["racing"]
    """How it ended; `racing` while that is not known."""
    gain: float | None = None
    """Relative fall of the loss at its end."""
    ci_low: float | None = None
    """Lower end of the gain's confidence interval."""
    ci_high: float | None = None
    """Upper end of the gain's confidence interval."""
    step: Step = Field(ge=0)
    """Step of the outcome, or of the newest standing."""


class BuildView(Contract):
    """A build of a blueprint, as far as it is known."""

    blueprint_id: Identifier
    """Which blueprint."""
    worker: Name
    """Who builds."""
    started_at: Moment | None
    """When it began, UTC; None where only its end was heard of."""
    ended_at: Moment | None = None
    """When it ended, UTC; None while it goes on."""
    seconds: float | None = None
    """How long it took."""
    kernel_id: KernelId | None = None
    """The kernel; None where there is none, or none yet."""
    reason: Text = ""
    """Why there is none, as a sentence."""
