"""What a growth run leaves behind: evidence, races, decisions, costs, the report.

All of it is plain data: ``GrowthReport.model_validate_json`` reads a run's ``report.json``
without torch. Losses are means per sample of the user's own loss function; gains are relative to
the loss without the kernel (0.1 = one tenth of the loss is gone).
"""

from __future__ import annotations

from pydantic import BaseModel
from pydantic import ConfigDict
from pydantic import Field

from esper.contracts.enums import KernelMode


class Record(BaseModel):
    """Base of the records below: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Evidence(Record):
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


class CandidateRecord(Record):
    """One entrant of a race: which blueprint, for which slot, at what cost."""

    name: str
    """``family/size`` of the blueprint."""
    slot: str
    """Qualified name of the layer."""
    mode: KernelMode
    is_control: bool = False
    parameters: int
    """Parameters that the model gains or loses if this entrant takes over."""
    flops: float
    """Forward FLOPs per sample that the model gains or loses if this entrant takes over."""


class Standing(Record):
    """An entrant's place at one mark of a race."""

    entrant: int
    """Index into :attr:`RaceRecord.entrants`."""
    loss: float
    """Calibrated growth-split loss."""
    metric: float | None
    score: float
    """Relative gain over the host at the same step, less rent."""
    survives: bool


class RungRecord(Record):
    """One mark of a race: everybody still in it, best first."""

    step: int
    """Host step at the mark."""
    host_loss: float
    host_metric: float | None
    standings: list[Standing]


class RaceRecord(Record):
    """A whole race."""

    index: int
    start: int
    end: int
    entrants: list[CandidateRecord]
    rungs: list[RungRecord]
    flops: float
    """Training FLOPs that the race used."""


class GrowthDecision(Record):
    """What was decided at a step, on which evidence, and why in words."""

    step: int
    verdict: str
    """``graft``, ``decline``, ``fossilise``, ``cull`` or ``roll back``."""
    candidate: CandidateRecord | None
    evidence: Evidence | None
    against_control: Evidence | None = None
    rent: float = 0.0
    reason: str


class CurvePoint(Record):
    """One observation of the run's own curve."""

    step: int
    train_loss: float
    growth_loss: float | None
    """Calibrated."""
    growth_metric: float | None


class CostAccount(Record):
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


class LayerRecord(Record):
    """One layer of an architecture drawing."""

    name: str
    kind: str
    """Class of the layer, or ``family/size`` of the kernel in its place."""
    detail: str
    parameters: int
    grown: bool = False


class GrowthReport(Record):
    """The record of a run: what was observed, raced, decided and kept, and what it cost."""

    steps: int
    total_steps: int
    curve: list[CurvePoint]
    races: list[RaceRecord]
    decisions: list[GrowthDecision]
    cost: CostAccount
    parameters_before: int
    parameters_after: int
    before: list[LayerRecord]
    after: list[LayerRecord]
    summary: str
    """What was added, where, why, and what it bought: the sentence that a person would want."""
