"""The race: candidates train in the shadow, the weakest drop out at each mark.

Successive halving (Jamieson & Talwalkar 2016) over a few marks. A control, a fresh copy of the
host layer itself, runs for every slot: a challenger that does not beat it has only shown that
training longer helps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from esper.blueprints.build import build
from esper.blueprints.library.catalog import Candidate
from esper.contracts.growth import CandidateStanding
from esper.contracts.growth import Evidence
from esper.contracts.growth import RaceRecord
from esper.contracts.growth import RungRecord
from esper.orchestration.config import GrowthConfig
from esper.orchestration.counterfactual import GrowthSplit
from esper.orchestration.counterfactual import HeldOut
from esper.orchestration.counterfactual import LossFn
from esper.orchestration.counterfactual import batch_size
from esper.orchestration.counterfactual import call_model
from esper.orchestration.counterfactual import compare
from esper.orchestration.counterfactual import slice_batch
from esper.orchestration.performance import finite
from esper.orchestration.shadow import OwnRandomness
from esper.orchestration.shadow import Shadow

SMALLEST_BATCH = 16
CONTROL = "control"


@dataclass
class Entrant:
    """One candidate in a race."""

    candidate: Candidate
    standing: CandidateStanding
    """Who it is, and since the last mark how it stands."""
    extra_flops: float
    """Forward FLOPs per sample that the model gains if the entrant takes over; may be negative."""
    kernel: nn.Module
    optimizer: torch.optim.Optimizer
    flops: float | None = None
    """Training FLOPs per sample in the shadow, measured at its first step."""
    held_out: HeldOut | None = None

    @property
    def slot(self) -> str:
        """Qualified name of the layer."""
        return self.standing.layer_name

    @property
    def running(self) -> bool:
        """Whether it is still in the race."""
        return self.standing.survived

    @property
    def is_control(self) -> bool:
        """Whether it is the fresh copy of the host layer."""
        return self.standing.family == CONTROL

    @property
    def net_gain(self) -> float:
        """What the race ranks by; minus infinity where the loss was not finite."""
        return -math.inf if self.standing.net_gain is None else self.standing.net_gain


@dataclass(frozen=True)
class Outcome:
    """How a race ended: the winner and its evidence, or why there is none."""

    winner: Entrant | None
    best: Entrant | None
    evidence: Evidence | None
    against_control: Evidence | None
    host: HeldOut
    reason: str


@dataclass
class Race:
    """A race in progress. :meth:`train` once per host step, :meth:`mark` where :attr:`next_mark`.

    Args:
        entrants: challengers and one control for each slot among them.
        lengths: steps of each rung.
        lr: peak learning rate of the candidates.
    """

    index: int
    start: int
    shadow: Shadow
    entrants: Sequence[Entrant]
    lengths: tuple[int, ...]
    split: GrowthSplit
    loss_fn: LossFn
    lr: float
    config: GrowthConfig
    randomness: OwnRandomness
    generator: torch.Generator
    host_flops: float
    """Forward FLOPs per sample of the host."""
    steps: int = 0
    flops: float = 0.0
    evaluated: float = 0.0
    """FLOPs spent at marks."""
    rungs: list[RungRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.entered = tuple(e.standing for e in self.entrants)

    @property
    def next_mark(self) -> int:
        """Race steps at which the current rung ends."""
        return sum(self.lengths[: len(self.rungs) + 1])

    @property
    def running(self) -> list[Entrant]:
        """Entrants still in the race."""
        return [e for e in self.entrants if e.running]

    def train(self, x: Any, y: Any) -> None:
        """One step of every running entrant on the first part of the host's batch."""
        n = batch_size(y)
        rows = min(n, max(SMALLEST_BATCH, round(self.config.shadow_batch * n)))
        x, y = slice_batch(x, slice(rows)), slice_batch(y, slice(rows))
        self.steps += 1
        lr = self.lr * min(1.0, self.steps / max(1, self.config.shadow_warmup))
        with self.randomness(), torch.enable_grad():
            for entrant in self.running:
                self._train_one(entrant, x, y, lr)
                assert entrant.flops is not None
                self.flops += rows * entrant.flops

    def _train_one(self, entrant: Entrant, x: Any, y: Any, lr: float) -> None:
        if entrant.flops is None:
            with FlopCounterMode(display=False) as counter:
                self._backward(entrant, x, y)
            entrant.flops = counter.get_total_flops() / batch_size(y)
        else:
            self._backward(entrant, x, y)
        for group in entrant.optimizer.param_groups:
            group["lr"] = lr
        entrant.optimizer.step()

    def _backward(self, entrant: Entrant, x: Any, y: Any) -> None:
        entrant.optimizer.zero_grad(set_to_none=True)
        with self.shadow.standing_in(entrant.slot, entrant.kernel, entrant.standing.mode) as model:
            torch.autograd.backward([self.loss_fn(call_model(model, x), y)])

    def mark(self, step: int, live: nn.Module) -> Outcome | None:
        """End a rung: bring the shadow up to date, judge everybody, drop the weakest.

        Returns:
            The outcome after the last rung, or sooner when no challenger has a prospect.
        """
        self.shadow.refresh(live)
        host = self._judge()
        ranked = sorted(self.running, key=lambda e: -e.net_gain)
        challengers = [e for e in ranked if not e.is_control]
        is_last = len(self.rungs) + 1 == len(self.lengths)
        # A hopeless field ends the race, but one entrant is never dropped for being behind its
        # control early on: the kernels that win in the end often start slowly.
        is_open = any(self._has_prospect(e) for e in challengers)
        survivors = challengers[: self._places(len(ranked), is_last=is_last)] if is_open else []
        slots = {e.slot for e in survivors}
        for entrant in ranked:
            stays = entrant in survivors or (entrant.is_control and entrant.slot in slots)
            entrant.standing = entrant.standing.model_copy(update={"survived": stays})
        rung = RungRecord(
            step=step,
            host_loss=finite(host.loss),
            host_metric=host.metric,
            standings=tuple(e.standing for e in ranked),
        )
        self.rungs.append(rung)
        if not survivors:
            return self._decline(challengers, host)
        return self._decide(survivors[0], host) if is_last else None

    def _judge(self) -> HeldOut:
        host = self.split.measure(self.shadow.model)
        self.evaluated += self.split.size * self.host_flops
        for entrant in self.running:
            kernel = entrant.kernel.eval()
            with self.shadow.standing_in(entrant.slot, kernel, entrant.standing.mode) as model:
                entrant.held_out = self.split.measure(model)
            kernel.train()
            self.evaluated += self.split.size * (self.host_flops + entrant.extra_flops)
            entrant.standing = entrant.standing.model_copy(update=self._measured(entrant, host))
        return host

    def _measured(self, entrant: Entrant, host: HeldOut) -> dict[str, Any]:
        assert entrant.held_out is not None
        if not math.isfinite(entrant.held_out.loss):
            return dict.fromkeys(("loss", "metric", "gain", "ci_low", "ci_high", "net_gain"))
        evidence = self._compare(host, entrant.held_out)
        return {
            "loss": evidence.loss_with,
            "metric": evidence.metric_with,
            "gain": evidence.gain,
            "ci_low": evidence.ci_low,
            "ci_high": evidence.ci_high,
            "net_gain": evidence.gain - entrant.standing.rent,
        }

    def _compare(self, without: HeldOut, with_kernel: HeldOut) -> Evidence:
        return compare(without, with_kernel, self.generator, confidence=self.config.confidence)

    def _places(self, entrants: int, *, is_last: bool) -> int:
        if is_last:
            return 1
        least = 1 if len(self.rungs) + 2 == len(self.lengths) else 2
        return max(least, math.ceil(entrants * self.config.keep))

    def _needed(self, entrant: Entrant) -> float:
        return entrant.standing.rent + self.config.min_gain

    def _has_prospect(self, entrant: Entrant) -> bool:
        """Whether the entrant may still beat its control by more than it has to pay."""
        if not math.isfinite(entrant.net_gain):
            return False
        against_control = self._against_control(entrant)
        return against_control is None or against_control.ci_high > self._needed(entrant)

    def _against_control(self, entrant: Entrant) -> Evidence | None:
        """The entrant against its slot's control; ``None`` where the control diverged."""
        control = next(e for e in self.entrants if e.is_control and e.slot == entrant.slot)
        if control.held_out is None or not math.isfinite(control.held_out.loss):
            return None
        assert entrant.held_out is not None
        return self._compare(control.held_out, entrant.held_out)

    def _decide(self, best: Entrant, host: HeldOut) -> Outcome:
        assert best.held_out is not None
        evidence, control = self._compare(host, best.held_out), self._against_control(best)
        needed, name = self._needed(best), f"{best.standing.candidate} in {best.slot}"
        lowers = (
            f"{name} lowers the held-out loss by {evidence.gain:.1%} "
            f"(at least {evidence.ci_low:.1%})"
        )
        if evidence.ci_low <= needed:
            reason = f"{lowers}, which is not clearly more than the {needed:.1%} it has to pay"
            return Outcome(None, best, evidence, control, host, reason)
        if control is not None and control.ci_low <= 0:
            reason = (
                f"{lowers}, but does not clearly beat a fresh copy of the layer "
                f"({control.gain:.1%}, at least {control.ci_low:.1%})"
            )
            return Outcome(None, best, evidence, control, host, reason)
        beats = "" if control is None else f" and beats a fresh copy of it by {control.gain:.1%}"
        return Outcome(best, best, evidence, control, host, f"{lowers}{beats}")

    def _decline(self, challengers: list[Entrant], host: HeldOut) -> Outcome:
        best = challengers[0] if challengers else None
        if best is None or best.held_out is None:
            return Outcome(None, None, None, None, host, "no challenger was left in the race")
        name = f"{best.standing.candidate} in {best.slot}"
        if not math.isfinite(best.net_gain):
            reason = f"{name}, the best challenger, diverged in the shadow"
            return Outcome(None, best, None, None, host, reason)
        control = self._against_control(best)
        assert control is not None  # without a control every challenger has a prospect
        reason = (
            f"stopped early: the best challenger, {name}, is at most {control.ci_high:.1%} better "
            f"than a fresh copy of the layer and has to pay {self._needed(best):.1%}"
        )
        return Outcome(None, best, self._compare(host, best.held_out), control, host, reason)

    def record(self, end: int) -> RaceRecord:
        """The race as plain data."""
        return RaceRecord(
            index=self.index,
            start=self.start,
            end=end,
            entrants=self.entered,
            rungs=tuple(self.rungs),
            flops=self.flops,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that :meth:`load_state_dict` needs to go on bit for bit."""
        return {
            "steps": self.steps,
            "flops": self.flops,
            "evaluated": self.evaluated,
            "rungs": [r.model_dump(mode="json") for r in self.rungs],
            "shadow": self.shadow.model.state_dict(),
            "randomness": self.randomness.state_dict(),
            "entrants": [
                {
                    "standing": e.standing.model_dump(mode="json"),
                    "flops": e.flops,
                    "kernel": e.kernel.state_dict(),
                    "optimizer": e.optimizer.state_dict(),
                }
                for e in self.entrants
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state; the race was built with the same entrants."""
        self.steps, self.flops = state["steps"], state["flops"]
        self.evaluated = state["evaluated"]
        self.rungs = [RungRecord.model_validate(r) for r in state["rungs"]]
        self.shadow.model.load_state_dict(state["shadow"])
        self.randomness.load_state_dict(state["randomness"])
        for entrant, saved in zip(self.entrants, state["entrants"], strict=True):
            entrant.standing = CandidateStanding.model_validate(saved["standing"])
            entrant.flops = saved["flops"]
            entrant.kernel.load_state_dict(saved["kernel"])
            entrant.optimizer.load_state_dict(saved["optimizer"])


def enter(
    candidate: Candidate, standing: CandidateStanding, extra_flops: float, device: torch.device
) -> Entrant:
    """Build a candidate's kernel and its optimizer (AdamW; the race sets the rate)."""
    kernel = build(candidate.ir).to(device)
    optimizer = torch.optim.AdamW(kernel.parameters())
    return Entrant(candidate, standing, extra_flops, kernel, optimizer)
