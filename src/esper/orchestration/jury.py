"""The jury of a race: measures entrants on the growth split, compares, and gives reasons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from esper.contracts.growth import Evidence
from esper.orchestration.counterfactual import HeldOut, compare
from esper.orchestration.entrant import Entrant
from esper.orchestration.growth_config import GrowthConfig


@dataclass(frozen=True)
class Outcome:
    """How a race ended: the winner and its evidence, or why there is none."""

    winner: Entrant | None
    best: Entrant | None
    evidence: Evidence | None
    against_control: Evidence | None
    host: HeldOut | None
    reason: str


LIKELY = 0.8
"""Two-sided confidence with which a race goes on."""


@dataclass(frozen=True)
class Jury:
    """Judges entrants by their held-out answers.

    Args:
        entrants: all that started, the controls among them.
        seed: of the bootstrap.
    """

    entrants: Sequence[Entrant]
    seed: int
    config: GrowthConfig

    def measured(self, entrant: Entrant, host: HeldOut) -> dict[str, Any]:
        """The figures of an entrant's standing; ``None`` where its loss is not finite."""
        assert entrant.held_out is not None
        if not math.isfinite(entrant.held_out.loss):
            return dict.fromkeys(("loss", "metric", "gain", "ci_low", "ci_high", "net_gain"))
        evidence, control = self.compare(host, entrant.held_out), self._control_loss(entrant)
        over = (control - evidence.loss_with) / max(abs(evidence.loss_without), 1e-12)
        return {
            "loss": evidence.loss_with,
            "metric": evidence.metric_with,
            "gain": evidence.gain,
            "ci_low": evidence.ci_low,
            "ci_high": evidence.ci_high,
            "net_gain": over - entrant.standing.rent,
        }

    def compare(
        self, without: HeldOut, with_kernel: HeldOut, *, confidence: float | None = None
    ) -> Evidence:
        """Paired evidence of one set of answers against another."""
        level = self.config.confidence if confidence is None else confidence
        return compare(without, with_kernel, seed=self.seed, confidence=level)

    def needed(self, entrant: Entrant) -> float:
        """Relative gain that the entrant must bring."""
        return entrant.standing.rent + self.config.min_gain

    def has_prospect(self, entrant: Entrant, *, is_first_mark: bool) -> bool:
        """Whether the entrant may still, or after the first mark is likely to, beat its control."""
        if not math.isfinite(entrant.net_gain):
            return False
        if not is_first_mark:
            return self.likely_beats_control(entrant)
        control = self.against_control(entrant)
        return control is None or control.ci_high > 0

    def _control(self, entrant: Entrant) -> HeldOut | None:
        """The slot's control; ``None`` where it diverged."""
        control = next(e for e in self.entrants if e.is_control and e.slot == entrant.slot)
        found = control.held_out
        return found if found is not None and math.isfinite(found.loss) else None

    def _control_loss(self, entrant: Entrant) -> float:
        control = self._control(entrant)
        if control is not None:
            return control.loss
        assert entrant.held_out is not None
        return entrant.held_out.loss

    def pays(self, entrant: Entrant, evidence: Evidence) -> bool:
        """Whether the entrant is clearly better than the host, and by at least its price."""
        return evidence.ci_low > 0 and evidence.gain >= self.needed(entrant)

    def likely_beats_control(self, entrant: Entrant) -> bool:
        """Whether the entrant is likely better than its control, or the control diverged.

        Enough to go on with a race; a decision asks for the full confidence.
        """
        control = self.against_control(entrant, confidence=LIKELY)
        return control is None or control.ci_low > 0

    def against_control(
        self, entrant: Entrant, *, confidence: float | None = None
    ) -> Evidence | None:
        """The entrant against its slot's control; ``None`` where the control diverged."""
        control = self._control(entrant)
        if control is None:
            return None
        assert entrant.held_out is not None
        return self.compare(control, entrant.held_out, confidence=confidence)

    def decide(self, best: Entrant, host: HeldOut) -> Outcome:
        """Whether the leader wins: clearly better than the host by its price, and than its control."""
        assert best.held_out is not None
        evidence, control = self.compare(host, best.held_out), self.against_control(best)
        needed, name = self.needed(best), f"{best.standing.title} in {best.slot}"
        lowers = (
            f"{name} lowers the held-out loss by {evidence.gain:.1%} "
            f"(at least {evidence.ci_low:.1%})"
        )
        if not self.pays(best, evidence):
            reason = f"{lowers}, and has to pay {needed:.1%} with a gain that is beyond doubt"
            return Outcome(None, best, evidence, control, host, reason)
        if control is not None and control.ci_low <= 0:
            reason = (
                f"{lowers}, but does not clearly beat {best.rival} "
                f"({control.gain:.1%}, at least {control.ci_low:.1%})"
            )
            return Outcome(None, best, evidence, control, host, reason)
        beats = "" if control is None else f" and beats {best.rival} by {control.gain:.1%}"
        return Outcome(best, best, evidence, control, host, f"{lowers}{beats}")

    def decline(self, challengers: Sequence[Entrant], host: HeldOut) -> Outcome:
        """The end of a race in which nobody has a prospect."""
        best = challengers[0] if challengers else None
        if best is None or best.held_out is None:
            return Outcome(None, None, None, None, host, "no challenger was left in the race")
        name = f"{best.standing.title} in {best.slot}"
        if not math.isfinite(best.net_gain):
            reason = f"{name}, the best challenger, diverged in the shadow"
            return Outcome(None, best, None, None, host, reason)
        control = self.against_control(best)
        assert control is not None  # without a control every challenger has a prospect
        reason = (
            f"stopped early: the best challenger, {name}, does not clearly beat {best.rival} "
            f"({control.gain:+.1%}, between {control.ci_low:+.1%} and {control.ci_high:+.1%})"
        )
        return Outcome(None, best, self.compare(host, best.held_out), control, host, reason)
