"""A graft under way: alpha rises, the new parameters warm up, and the result is judged."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from esper.contracts.growth import CandidateStanding, Evidence
from esper.orchestration.counterfactual import HeldOut
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.schedule import alpha_at


@dataclass
class Graft:
    """One kernel on its way into the model.

    Args:
        start: step at which it was installed.
        before: the model's held-out answers at the decision, the mark to be beaten.
    """

    slot: str
    seed_idx: int
    standing: CandidateStanding
    evidence: Evidence
    before: HeldOut
    shift: dict[str, Tensor]
    """What the parameters behind the slot have to move by, from where the host has them to where
    the kernel's private copy of them is, as alpha goes from 0 to 1."""
    start: int
    ramp: int
    settle: int

    def alpha(self, step: int, config: GrowthConfig) -> float:
        """Alpha after so many steps of the run."""
        progress = (step - self.start) / self.ramp if self.ramp else 1.0
        return alpha_at(progress, config.alpha_schedule)

    def state_dict(self) -> dict[str, Any]:
        """The graft as plain data and tensors."""
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        state["standing"] = self.standing.model_dump(mode="json")
        state["evidence"] = self.evidence.model_dump(mode="json")
        state["before"] = {f.name: getattr(self.before, f.name) for f in fields(self.before)}
        return state

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Graft:
        """The graft that :meth:`state_dict` described."""
        parts = {
            "standing": CandidateStanding.model_validate(state["standing"]),
            "evidence": Evidence.model_validate(state["evidence"]),
            "before": HeldOut(**state["before"]),
        }
        return cls(**{**state, **parts})

    def is_due(self, step: int) -> bool:
        """Whether it is time to judge."""
        return step >= self.start + self.ramp + self.settle


def verdict(evidence: Evidence) -> tuple[bool, str]:
    """Whether the kernel stays: not if the held-out loss is above the mark beyond the interval."""
    reason = (
        f"the held-out gain is {evidence.gain:+.1%} against the model before the graft "
        f"(between {evidence.ci_low:+.1%} and {evidence.ci_high:+.1%})"
    )
    return evidence.ci_high >= 0, reason
