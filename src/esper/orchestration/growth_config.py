"""What a user may say about growth. The defaults serve every data set alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from esper.contracts.enums import AdaptationStrategyName
from esper.orchestration.schedule import AlphaSchedule
from esper.utils.ranges import (
    AT_LEAST_0,
    COUNT,
    POSITIVE,
    POSITIVE_SHARE,
    SHARE,
    WHOLE,
    Range,
    check_numbers,
)


@dataclass(frozen=True, kw_only=True)
class GrowthLimits:
    """Upper limits on the grown model. ``None`` is no limit."""

    max_parameters: int | None = None
    """Parameters of the grown model."""
    max_flops: float | None = None
    """Forward FLOPs per sample of the grown model."""
    max_latency_us: float | None = None
    """Microseconds of the grown model's forward pass over 16 samples, in evaluation mode. It is
    measured, so with this limit decisions depend on the machine."""
    max_compute: float | None = 5.0
    """Training FLOPs of the whole run, races and evaluation included, as a multiple of the static
    model's (of ``compute_floor``, if that is more). A blueprint that would overrun it does not
    enter a race."""
    compute_floor: float = 6e6
    """Training FLOPs per sample that a model counts as at least, against every compute budget:
    below that size time goes into dispatch, not arithmetic, and a multiple says little."""

    def __post_init__(self) -> None:
        ceilings = ("max_parameters", "max_flops", "max_latency_us", "max_compute")
        limit = Range(words="a number above 0, or None for no limit", low=0, above=True, high=1e300)
        check_numbers(self, "limits.", compute_floor=AT_LEAST_0, **dict.fromkeys(ceilings, limit))


@dataclass(frozen=True, kw_only=True)
class GrowthConfig:
    """The growth cycle's settings. Spans are shares of ``total_steps`` unless they say steps."""

    strategy: AdaptationStrategyName = AdaptationStrategyName.REPLACE
    """Which blueprints compete and how a winner comes in (see ``strategies.py``)."""
    limits: GrowthLimits = field(default_factory=GrowthLimits)
    """Limits on size and compute."""
    families: tuple[str, ...] | None = None
    """Only these blueprint families may compete; ``None`` admits the whole library."""
    max_grafts: int = 2
    """Kernels that may be grafted in one run."""

    first_check: float = 0.10
    """No race before this point."""
    last_start: float = 0.50
    """No race after this point: a late kernel has no time to pay."""
    check_every: float = 0.05
    """Span between looks at the growth split while nothing else happens."""
    observe_every: int = 400
    """Steps between health samples, or a tenth of the run if that is less. A sample costs a small
    model about two and a half steps' time."""
    min_headroom: float = 0.08
    """No race while the growth loss is, for all that is sure, below this share of the loss at the
    start."""
    min_evidence: int = 100
    """No race with fewer held-out samples: their intervals could not tell a gain from luck."""
    plateau: float = 0.10
    """The curve is flat when the growth loss fell by less than this share since the last look."""
    gap: float = 0.25
    """The model memorises when the train loss is below the growth loss by this share of it."""

    scout_compute: float = 0.10
    """Training FLOPs, as a multiple of the static model's, that races may use as long as no
    challenger is on course: the price of a search that finds nothing."""
    race_compute: float = 1.0
    """The same once one is: clearly better than its control, by a lead that does not shrink. A
    lead that shrinks says that the challenger learns faster, not that it is better."""
    rung: float = 0.04
    """Longest span between two marks of a race."""
    rungs: int = 3
    """Marks of a race; the last one decides."""
    extensions: int = 4
    """Further marks for a leader that is on course and has not beaten the host yet."""
    keep: float = 1 / 3
    """Share of the challengers that survives a mark; at least two of them until the last rung."""
    shadow_batch: float = 0.5
    """Share of each training batch that the shadow trains on (at least 16 samples)."""
    max_entrants: int = 10
    """Entrants of a race after screening, controls included."""
    kernel_lr: float | None = None
    """Peak learning rate in the shadow; ``None`` takes twice the optimizer's for the Adam family
    and 2e-3 for others."""
    shadow_warmup: int = 20
    """Steps of learning-rate warm-up in the shadow."""

    confidence: float = 0.95
    """Two-sided confidence of the evidence's interval."""
    min_gain: float = 0.02
    """Relative gain, after rent, that a winner must bring; the lower end of its interval must be
    above zero besides."""
    rent_flops: float = 0.005
    """Relative gain that each doubling of the model's forward FLOPs must pay for."""
    rent_parameters: float = 0.002
    """Relative gain that each doubling of the model's parameters must pay for."""
    growth_samples: int = 4000
    """Growth-split samples kept in memory, at most."""
    calibrate: bool | None = None
    """Fit one temperature before comparing losses; ``None``: when targets are class indices."""

    alpha_schedule: AlphaSchedule = AlphaSchedule.LINEAR
    """Shape of the rise of alpha."""
    ramp: float = 0.02
    """Span of the rise of alpha."""
    settle: float = 0.03
    """Span at the target alpha before the graft is judged again."""
    graft_warmup: int = 50
    """Steps of learning-rate warm-up of the grafted parameters."""
    cooldown: float = 0.10
    """Span without a race after a graft, a decline or a cull."""
    spike: float = 4.0
    """During a graft, a train loss above this multiple of its level before rolls the graft back."""

    def __post_init__(self) -> None:
        shares = ("first_check", "last_start", "check_every", "rung", "ramp", "settle", "cooldown")
        costs = ("scout_compute", "race_compute", "rent_flops", "rent_parameters")
        check_numbers(
            self,
            "growth.",
            **dict.fromkeys(shares, SHARE),
            **dict.fromkeys(costs, AT_LEAST_0),
            **dict.fromkeys(("keep", "shadow_batch"), POSITIVE_SHARE),
            **dict.fromkeys(("observe_every", "rungs", "min_evidence", "growth_samples"), WHOLE),
            **dict.fromkeys(("max_grafts", "extensions", "shadow_warmup", "graft_warmup"), COUNT),
            max_entrants=Range(words="at least 2: one and its control", low=2),
            kernel_lr=POSITIVE,
            confidence=Range(words="a number in (0, 1)", low=0, above=True, high=1, below=True),
            spike=Range(words="a multiple above 1", low=1, above=True, high=math.inf),
        )

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Names of all settings."""
        return tuple(f.name for f in fields(cls))
