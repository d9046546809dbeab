"""What a growth run leaves behind: evidence, races, decisions, costs, the report.

All of it is plain data: ``GrowthReport.model_validate_json`` reads a run's ``report.json``
without torch. Losses are means per sample of the user's own loss function; gains are relative to
the loss without the kernel (0.1 = one tenth of the loss is gone).
"""

from __future__ import annotations

from pydantic import Field

from esper.contracts.base import Contract
from esper.contracts.base import Count
from esper.contracts.base import NonNegative
from esper.contracts.enums import KernelMode


class Evidence(Contract):
    """A paired comparison on the growth split: the model with a kernel against without."""

    gain: float
    """Relative fall of the calibrated loss; negative when the kernel hurts."""
    ci_low: float
    ci_high: float
    confidence: float = Field(gt=0, lt=1)
    loss_without: float
    loss_with: float
    temperature_without: float
    temperature_with: float
    metric_without: float | None = None
    metric_with: float | None = None
    samples: int = Field(ge=1)


class CandidateStanding(Contract):
    """How one candidate of a race stands. Losses are per sample, on the growth split."""

    candidate: str
    """`family/size`; with layer and mode it is unique within the race."""
    layer_name: str
    """Qualified name of the layer it competes for."""
    family: str
    """Kernel family; `control` is the fresh copy of the host."""
    size: str = ""
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
    """`gain - rent`: what the race ranks by."""
    survived: bool = True
    """Whether it goes on to the next rung, or has won."""


class RungRecord(Contract):
    """One mark of a race: everybody still in it, best first."""

    step: int
    """Host step at the mark."""
    host_loss: float | None
    host_metric: float | None
    standings: tuple[CandidateStanding, ...]


class RaceRecord(Contract):
    """A whole race."""

    index: int
    start: int
    end: int
    entrants: tuple[CandidateStanding, ...]
    """Everybody who started; not measured yet."""
    rungs: tuple[RungRecord, ...]
    flops: float
    """Training FLOPs that the race used."""


class GrowthDecision(Contract):
    """What was decided at a step, on which evidence, and why in words."""

    step: int
    verdict: str
    """``graft``, ``decline``, ``fossilise``, ``cull`` or ``roll back``."""
    candidate: CandidateStanding | None
    evidence: Evidence | None
    against_control: Evidence | None = None
    rent: float = 0.0
    reason: str


class CurvePoint(Contract):
    """One observation of the run's own curve."""

    step: int
    train_loss: float | None
    """Mean since the observation before; ``None`` at the start."""
    growth_loss: float | None
    """Calibrated; ``None`` where it was not finite."""
    growth_metric: float | None


class CostAccount(Contract):
    """Compute spent, in FLOPs (a multiply-add is two), and what the same run costs unguided."""

    host: float
    """Training the model itself, kernels in it included."""
    shadow: float
    """Training candidates in the shadow."""
    evaluation: float
    """Forward passes over the growth split."""
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

    name: str
    kind: str
    """Class of the layer, or ``family/size`` of the kernel in its place."""
    detail: str
    parameters: int
    grown: bool = False


class GrowthReport(Contract):
    """The record of a run: what was observed, raced, decided and kept, and what it cost."""

    steps: int
    total_steps: int
    curve: tuple[CurvePoint, ...]
    races: tuple[RaceRecord, ...]
    decisions: tuple[GrowthDecision, ...]
    cost: CostAccount
    parameters_before: int
    parameters_after: int
    before: tuple[LayerRecord, ...]
    after: tuple[LayerRecord, ...]
    summary: str
    """What was added, where, why, and what it bought: the sentence that a person would want."""
