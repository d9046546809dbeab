"""What a growth run leaves behind: evidence, races, decisions, costs, the report.

All of it is plain data: ``GrowthReport.model_validate_json`` reads a run's ``report.json``
without torch. Losses are means per sample of the user's own loss function; gains are relative to
the loss without the kernel (0.1 = one tenth of the loss is gone).
"""

from __future__ import annotations

from pydantic import Field

from esper.contracts.base import (
    Contract,
    Count,
    KernelId,
    Name,
    NonNegative,
    Positive,
    Series,
    Several,
    Step,
    Text,
    Whole,
)
from esper.contracts.enums import KernelMode, Verdict


class Evidence(Contract):
    """A paired comparison on the growth split: the model with a kernel against without."""

    gain: float
    """Relative fall of the calibrated loss; negative when the kernel hurts."""
    ci_low: float
    """Lower end of the gain's bootstrap confidence interval."""
    ci_high: float
    """Upper end of the gain's bootstrap confidence interval."""
    confidence: float = Field(gt=0, lt=1)
    """Level of the interval, for example 0.95."""
    loss_without: float
    """Calibrated loss without the kernel."""
    loss_with: float
    """Calibrated loss with it."""
    temperature_without: float
    """Temperature that the outputs without the kernel were divided by."""
    temperature_with: float
    """Temperature that the outputs with it were divided by."""
    metric_without: float | None = None
    """The user's metric without the kernel."""
    metric_with: float | None = None
    """The user's metric with it."""
    samples: Positive
    """Growth-split samples compared."""


class CandidateStanding(Contract):
    """How one candidate of a race stands. Losses are per sample, on the growth split."""

    candidate: Name
    """`family/size`; with layer, mode and kernel it is unique within the race."""
    layer_name: Name
    """Qualified name of the layer it competes for."""
    family: Name
    """Kernel family; `control` is the fresh copy of the host."""
    size: Name = ""
    """Size within the family."""
    mode: KernelMode
    """How it would join its host."""
    parameters: Count = 0
    """Its trainable scalars."""
    flops: Count = 0
    """Its forward operations for one sample."""
    loss: float | None = None
    """Temperature-scaled loss with the candidate in place; None where it was not finite."""
    metric: float | None = None
    """The user's metric with the candidate in place."""
    gain: float | None = None
    """Relative fall of the loss against the host at the same step."""
    ci_low: float | None = None
    """Lower end of the gain's bootstrap confidence interval."""
    ci_high: float | None = None
    """Upper end of the gain's bootstrap confidence interval."""
    rent: NonNegative = 0.0
    """What the gain is charged for parameters and operations, relative as well."""
    net_gain: float | None = None
    """Relative fall of the loss against the slot's own control, less rent: what the race ranks by.
    Against the host, whatever takes longest to learn would lose."""
    survived: bool = True
    """Whether it goes on to the next rung, or has won."""
    kernel_id: KernelId | None = None
    """The kernel file that it began with, weights and all; None for a fresh blueprint."""

    @property
    def title(self) -> str:
        """Who it is, for people; a proven kernel is told apart from a fresh one of its kind."""
        if self.kernel_id is None:
            return self.candidate
        return f"proven {self.candidate} {self.kernel_id[:8]}"

    @property
    def identity(self) -> tuple[str, str, KernelMode, str | None]:
        """What tells it apart from everybody else in its race."""
        return self.candidate, self.layer_name, self.mode, self.kernel_id


class RungRecord(Contract):
    """One mark of a race: everybody still in it, best first."""

    step: Step
    """Host step at the mark."""
    host_loss: float | None
    """Calibrated growth loss of the host alone; None where it was not finite."""
    host_metric: float | None
    """The user's metric of the host alone."""
    standings: Several[CandidateStanding]
    """Everybody still in the race, best first."""


class RaceRecord(Contract):
    """A whole race."""

    index: Whole
    """Number of the race within the run, from 0."""
    start: Step
    """Step at which it began."""
    end: Step
    """Step at which it was decided."""
    entrants: Several[CandidateStanding]
    """Everybody who started; not measured yet."""
    rungs: Several[RungRecord]
    """Its marks, in order."""
    flops: float
    """Training FLOPs that the race used."""


class GrowthDecision(Contract):
    """What was decided at a step, on which evidence, and why in words."""

    step: Step
    """Training step of the decision."""
    verdict: Verdict
    """Which."""
    candidate: CandidateStanding | None
    """Whom it is about; None where nobody was."""
    evidence: Evidence | None
    """The candidate against the host."""
    against_control: Evidence | None = None
    """The candidate against the fresh copy of the host."""
    rent: float = 0.0
    """What the gain was charged for parameters and operations."""
    reason: Text
    """Why, as a sentence."""


class CurvePoint(Contract):
    """One observation of the run's own curve."""

    step: Step
    """Training step of the observation."""
    train_loss: float | None
    """Mean since the observation before; ``None`` at the start."""
    growth_loss: float | None
    """Calibrated; ``None`` where it was not finite."""
    growth_metric: float | None
    """The user's metric on the growth split."""


class CostAccount(Contract):
    """Compute spent, in FLOPs (a multiply-add is two), and what the same run costs unguided."""

    host: float
    """Training the model itself, kernels in it included."""
    shadow: float
    """Training candidates in the shadow."""
    evaluation: float
    """Forward passes over the growth split, by whomever, and the measuring of costs themselves."""
    static: float
    """The ungrown model trained for the same steps."""

    @property
    def total(self) -> float:
        """Everything spent."""
        return self.host + self.shadow + self.evaluation

    @property
    def multiple(self) -> float:
        """Everything spent, as a multiple of the static model's training."""
        return self.total / self.static if self.static else 1.0


class LayerRecord(Contract):
    """One layer of an architecture drawing."""

    name: Name
    """Qualified name of the layer."""
    kind: Name
    """Class of the layer, or ``family/size`` of the kernel in its place."""
    detail: Text
    """Its sizes, in a few words."""
    parameters: Whole
    """Its trainable scalars."""
    grown: bool = False
    """Whether growth put it there."""


class GrowthReport(Contract):
    """The record of a run: what was observed, raced, decided and kept, and what it cost."""

    steps: Step
    """Training steps that were made."""
    total_steps: Step
    """Training steps that were planned."""
    curve: Series[CurvePoint]
    """The run's own curve, in order."""
    races: Several[RaceRecord]
    """Every race, in order."""
    decisions: Several[GrowthDecision]
    """Every decision, in order."""
    cost: CostAccount
    """Where the compute went."""
    parameters_before: Whole
    """Trainable scalars of the model as it was given."""
    parameters_after: Whole
    """Trainable scalars of the model as it is left."""
    before: Several[LayerRecord]
    """The architecture as it was given."""
    after: Several[LayerRecord]
    """The architecture as it is left."""
    summary: Text
    """What was added, where, why, and what it bought: the sentence that a person would want."""

    @property
    def put_in_from_outside(self) -> tuple[LayerRecord, ...]:
        """New kernels that no decision of the run's own put into the model."""
        own = {
            decision.candidate.layer_name
            for number, decision in enumerate(self.decisions, start=1)
            if decision.candidate is not None
            and (
                decision.verdict is Verdict.FOSSILISE
                # Not judged yet: there is one graft at a time.
                or (decision.verdict is Verdict.GRAFT and number == len(self.decisions))
            )
        }
        return tuple(
            layer
            for layer in self.after
            if layer.grown and layer not in self.before and layer.name not in own
        )
