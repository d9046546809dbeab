"""Runs: what a run store answers when it is asked about training runs."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, JsonValue

from esper.contracts.base import Contract, Count, KernelId
from esper.contracts.enums import RunState
from esper.contracts.platform_events import ComponentHealth


class RunSummary(Contract):
    """One run in a list."""

    run_id: str
    """Identity of the run."""
    name: str
    """`data model`."""
    state: RunState
    """Where it is."""
    folder: str
    """Its folder, on its own machine."""
    attempt: Count
    """How often it was resumed."""
    started_at: datetime
    """When its first line was heard of, UTC."""
    updated_at: datetime
    """When its newest line was heard of, UTC."""
    step: Count
    """Newest training step that is known."""
    total_steps: Count
    """Steps planned."""
    seed: int | None = None
    """Of everything random in the run."""
    metric: str = "metric"
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
    summary: str = ""
    """What happened, as a sentence; empty until the run has ended."""


class StoredLine(Contract):
    """One line of a run's log, as the store holds it."""

    cursor: Count
    """Grows with every line that the store takes in, over all runs: what is newer has more."""
    position: Count
    """Byte of the log at which the line begins."""
    attempt: Count
    """Attempt that wrote it."""
    at: datetime
    """When it was sent, UTC."""
    trace_id: str
    """Trace that it belongs to."""
    body: dict[str, JsonValue]
    """The line; `esper.contracts.records.parse_record` reads it."""


class Curve(Contract):
    """A figure over the steps of a run."""

    name: str
    """Which figure: `train_loss`, `growth_loss`, `growth_metric`, `lr`, `step_seconds`, or
    `health/<layer>/<measurement>`."""
    steps: tuple[int, ...]
    """Training steps, in order."""
    values: tuple[float | None, ...]
    """One for each step; None where it was not finite."""
    points: Count
    """How many points the store holds: more than are given where it thinned them out."""


class Impact(Contract):
    """What was expected of an adaptation, and what it came to."""

    layer_name: str
    """Qualified name of the layer."""
    candidate: str
    """`family/size` of the kernel."""
    kernel_id: KernelId | None = None
    """The kernel's file, if there is one."""
    grafted_at: Count
    """Step at which alpha began to rise."""
    predicted: float | None
    """Gain that the race found: relative fall of the calibrated growth loss against the host."""
    predicted_low: float | None = None
    """Lower end of its confidence interval."""
    predicted_high: float | None = None
    """Upper end of its confidence interval."""
    judged_at: int | None = None
    """Step at which the graft was judged; None while it goes on."""
    verdict: str = ""
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
    seen_at: datetime
    """When, UTC."""
    lost: bool = False
    """Whether it has said nothing for three of its intervals, and did not take its leave."""


class KernelHistoryEntry(Contract):
    """What one kernel did in one run: a station of its life over runs."""

    kernel_id: KernelId
    """The kernel's file."""
    run_id: str
    """The run."""
    run_name: str
    """`data model` of the run."""
    layer_name: str
    """Qualified name of the layer that it competed for."""
    candidate: str
    """`family/size`."""
    role: str
    """`entered` where it came from a library, `grown` where the run made it."""
    outcome: str
    """An `AdaptationOutcome`, or `racing` while it is not known."""
    gain: float | None = None
    """Relative fall of the loss at its end."""
    ci_low: float | None = None
    """Lower end of the gain's confidence interval."""
    ci_high: float | None = None
    """Upper end of the gain's confidence interval."""
    step: int = Field(ge=0)
    """Step of the outcome, or of the newest standing."""


class BuildView(Contract):
    """A build of a blueprint, as far as it is known."""

    blueprint_id: str
    """Which blueprint."""
    worker: str
    """Who builds."""
    started_at: datetime | None
    """When it began, UTC; None where only its end was heard of."""
    ended_at: datetime | None = None
    """When it ended, UTC; None while it goes on."""
    seconds: float | None = None
    """How long it took."""
    kernel_id: KernelId | None = None
    """The kernel; None where there is none, or none yet."""
    reason: str = ""
    """Why there is none, as a sentence."""
