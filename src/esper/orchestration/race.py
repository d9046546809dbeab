"""The race: candidates train in the shadow, the weakest drop out at each mark.

Successive halving (Jamieson & Talwalkar 2016) over a few marks. A control, a fresh copy of the
host layer itself, runs for every slot: a challenger that does not beat it has only shown that
training longer helps. Behind a module the control is the null: nothing is added there.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from esper.blueprints.flops import counting
from esper.contracts.growth import CandidateStanding, RaceRecord, RungRecord
from esper.orchestration.counterfactual import (
    GrowthSplit,
    HeldOut,
    LossFn,
    batch_size,
    call_model,
    slice_batch,
)
from esper.orchestration.entrant import Entrant
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.jury import Jury, Outcome
from esper.orchestration.performance import finite
from esper.orchestration.shadow import OwnRandomness, Shadow

logger = logging.getLogger(__name__)

SMALLEST_BATCH = 16
FOLLOWED = 10
"""Host steps after which the copy that everybody stands on is brought up to date: what a kernel has
learnt of features that are gone is worth little (`docs/lab/2026-12-behind-a-module.md`)."""
_COUNTERS = ("steps", "flops", "evaluated", "rows", "begins", "length", "failures")
EARLY_SAMPLES = 1500
"""Held-out samples at the marks before the last planned one, which only rank; a decision sees
all."""
STEADY = 0.9
"""Share of its lead over the control that an entrant on course keeps from mark to mark."""
COLDEST = 0.05
"""Share of the peak learning rate that is left at a mark."""


@dataclass
class Race:
    """A race in progress. :meth:`train` once per host step, :meth:`mark` when :attr:`is_due`.

    Args:
        entrants: challengers and one control for each slot among them.
        first: steps that are trained in the first rung.
        full: host steps from mark to mark; as many are trained in between, if the allowance lasts.
            Where it does not, the entrants rest until the mark: marks come when the host's step
            says so, and whoever sends batches to a race elsewhere knows them in advance.
        lr: peak learning rate of the candidates.
        scouting: FLOPs that may be used while no challenger is on course.
        allowance: FLOPs that may be used while one is.
        host_flops: forward FLOPs per sample of the host.
        seed: of the bootstrap.
    """

    index: int
    start: int
    shadow: Shadow
    entrants: Sequence[Entrant]
    first: int
    full: int
    split: GrowthSplit
    loss_fn: LossFn
    lr: float
    scouting: float
    allowance: float
    host_flops: float
    config: GrowthConfig
    randomness: OwnRandomness
    seed: int
    steps: int = 0
    """Host steps since the start."""
    flops: float = 0.0
    evaluated: float = 0.0
    """FLOPs spent at marks."""
    rows: int = 0
    """Samples of a shadow batch."""
    begins: int = 0
    """Race step at which the present rung began."""
    length: int = 0
    """Steps that are trained in the present rung, from its beginning."""
    failures: int = 0
    """Entrants that raised in the shadow."""
    rungs: list[RungRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.entered = tuple(e.standing for e in self.entrants)
        self.jury = Jury(self.entrants, self.seed, self.config)
        self.length = self.length or self.first

    @property
    def is_due(self) -> bool:
        """Whether the present rung is over."""
        return self.steps >= self.begins + self.full

    @property
    def follows(self) -> bool:
        """Whether the shadow is to be brought up to date before the next step."""
        return self.steps % FOLLOWED == 0

    @property
    def most_rungs(self) -> int:
        """Marks after which the race is over in any case."""
        return self.config.rungs + self.config.extensions

    @property
    def running(self) -> list[Entrant]:
        """Entrants still in the race."""
        return [e for e in self.entrants if e.running]

    def train(self, x: Any, y: Any, pace: float) -> None:
        """One step of every running entrant on the first part of the host's batch.

        None once the steps that the rung can afford are trained.

        Args:
            x: the host's batch.
            y: its targets.
            pace: the host's present learning rate as a share of its peak; what lies behind the
                kernels, trained already, moves at this pace.
        """
        self.train_share(*self.share(x, y), pace)

    def train_share(self, x: Any, y: Any, pace: float) -> None:
        """Do what `train` does with what `share` has cut off already."""
        self.steps += 1
        if self.steps > self.begins + self.length:
            return
        rows = self.rows = batch_size(y)
        if not rows:
            return
        lr = self.lr * self._warmth()
        with self.randomness(), torch.enable_grad():
            for entrant in self.running:
                try:
                    self._train_one(entrant, x, y, (lr, lr * pace))
                except Exception as error:  # noqa: BLE001  # a candidate must not stop training
                    self._drop(entrant, error)
                else:
                    assert entrant.flops is not None
                    self.flops += rows * entrant.flops

    def share(self, x: Any, y: Any) -> tuple[Any, Any]:
        """The part of the host's batch that entrants train on."""
        n = batch_size(y)
        rows = slice(min(n, max(SMALLEST_BATCH, round(self.config.shadow_batch * n))))
        return slice_batch(x, rows), slice_batch(y, rows)

    def _drop(self, entrant: Entrant, error: Exception) -> None:
        """Take an entrant that failed out of the race; its fellow entrants go on."""
        logger.warning(
            "%s in %s failed in the shadow at step %d and is out of the race: %s: %s",
            entrant.standing.title,
            entrant.slot,
            self.steps,
            type(error).__name__,
            error,
        )
        self.failures += 1
        entrant.standing = entrant.standing.model_copy(update={"survived": False})

    def _warmth(self) -> float:
        """Share of the peak rate: a warm-up at the start, a cosine down to each mark.

        A kernel at its peak rate is noisier than the host at its present one; a comparison is
        fair when both have come to rest.
        """
        progress = (self.steps - self.begins) / self.length
        cooled = COLDEST + (1 - COLDEST) * 0.5 * (1 + math.cos(math.pi * progress))
        return cooled * min(1.0, self.steps / max(1, self.config.shadow_warmup))

    def _train_one(self, entrant: Entrant, x: Any, y: Any, rates: tuple[float, float]) -> None:
        if not entrant.learns:
            entrant.flops = 0.0
            return
        if entrant.flops is None:
            with counting() as counter:
                self._backward(entrant, x, y)
            entrant.flops = counter.get_total_flops() / batch_size(y)
        else:
            self._backward(entrant, x, y)
        for group in entrant.optimizer.param_groups:
            group["lr"] = rates[group["paced"]]
        entrant.optimizer.step()

    def _backward(self, entrant: Entrant, x: Any, y: Any) -> None:
        entrant.optimizer.zero_grad(set_to_none=True)
        with self._in_place(entrant) as model:
            torch.autograd.backward([self.loss_fn(call_model(model, x), y)])

    def _in_place(self, entrant: Entrant) -> AbstractContextManager[nn.Module]:
        return self.shadow.standing_in(
            entrant.slot, entrant.kernel, entrant.standing.mode, entrant.rest
        )

    def mark(self, step: int, live: Mapping[str, Tensor]) -> Outcome | None:
        """End a rung: bring the shadow up to date, judge everybody, drop the weakest.

        Args:
            step: of the host.
            live: the live model's parameters and buffers by name (`shadow.tensors`).

        Returns:
            The outcome after the last rung, or sooner when no challenger has a prospect.
        """
        self.shadow.refresh(live)
        is_early = len(self.rungs) + 1 < self.config.rungs
        host = self._judge(EARLY_SAMPLES if is_early else None)
        ranked = sorted(self.running, key=lambda e: -e.net_gain)
        challengers = [e for e in ranked if not e.is_control]
        # A hopeless field ends the race, but one entrant is never dropped for being behind its
        # control early on: the kernels that win in the end often start slowly.
        is_open = any(self.jury.has_prospect(e, is_first_mark=not self.rungs) for e in challengers)
        on_course = [e for e in challengers if self._is_on_course(e)]
        others = [e for e in challengers if e not in on_course]
        places = self._places(len(challengers))
        survivors = [*on_course, *others][:places] if is_open else []
        self._keep(survivors)
        self.rungs.append(
            RungRecord(
                step=step,
                host_loss=finite(host.loss),
                host_metric=host.metric,
                standings=tuple(e.standing for e in ranked),
            )
        )
        if not survivors:
            return self.jury.decline(challengers, host)
        leader = survivors[0]
        if self._needs_no_more_time(leader, ranked[0], host):
            host = self._judge(None) if is_early else host
            settled = self.jury.decide(leader, host)
            if settled.winner is not None:
                return settled
        planned = len(self.rungs) < self.config.rungs
        goes_on = planned or (on_course and self._may_extend(leader, host))
        if goes_on and self._begin_rung(self.allowance if on_course else self.scouting):
            return None
        if is_early:
            self._keep([leader])
            host = self._judge(None)
        return self.jury.decide(leader, host)

    def _needs_no_more_time(self, leader: Entrant, first: Entrant, host: HeldOut) -> bool:
        """Whether a proven kernel leads everybody and pays already.

        Marks exist to tell who is better in the end from who learns faster. A kernel that has been
        through that, and whose gain is there, need not wait for it again.
        """
        if leader.standing.kernel_id is None or leader is not first or leader.held_out is None:
            return False
        return self.jury.pays(leader, self.jury.compare(host, leader.held_out))

    def _places(self, challengers: int) -> int:
        """How many go on: one into the last rung."""
        if len(self.rungs) + 2 >= self.config.rungs:
            return 1
        return max(2, math.ceil(challengers * self.config.keep))

    def _keep(self, survivors: Sequence[Entrant]) -> None:
        slots = {e.slot for e in survivors}
        for entrant in self.running:
            stays = entrant in survivors or (entrant.is_control and entrant.slot in slots)
            entrant.standing = entrant.standing.model_copy(update={"survived": stays})

    def _standing_before(self, entrant: Entrant) -> CandidateStanding | None:
        """The entrant's standing at the mark before."""
        standings = self.rungs[-1].standings if self.rungs else ()
        return next((s for s in standings if s.identity == entrant.standing.identity), None)

    def _is_on_course(self, entrant: Entrant) -> bool:
        """Whether the entrant likely beats its control, by a lead that does not shrink."""
        if not math.isfinite(entrant.net_gain):
            return False
        before = self._standing_before(entrant)
        lead = -math.inf if before is None or before.net_gain is None else before.net_gain
        return entrant.net_gain >= STEADY * lead and self.jury.likely_beats_control(entrant)

    def _may_extend(self, leader: Entrant, host: HeldOut) -> bool:
        """Whether more time may settle what is still open against the host."""
        if len(self.rungs) >= self.most_rungs or leader.held_out is None:
            return False
        return not self.jury.pays(leader, self.jury.compare(host, leader.held_out))

    def _begin_rung(self, allowance: float) -> bool:
        """Begin the next rung, as long as the allowance goes; not if it is too short to say much."""
        cost = max(1.0, self.rows * sum(e.flops or 0.0 for e in self.running))
        planned = max(1, self.config.rungs - len(self.rungs))
        steps = min(self.full, int((allowance - self.flops) / planned / cost))
        if steps < max(1, self.full // 4):
            return False
        self.begins, self.length = self.steps, steps
        return True

    def _judge(self, limit: int | None) -> HeldOut:
        """Measure the host and everybody in the race on the growth split, up to ``limit``."""
        samples = self.split.samples(limit)
        host = self.split.measure(self.shadow.model, limit=limit)
        self.evaluated += samples * self.host_flops
        for entrant in self.running:
            try:
                self._measure(entrant, limit)
            except Exception as error:  # noqa: BLE001  # a candidate must not stop training
                self._drop(entrant, error)
            self.evaluated += samples * (self.host_flops + entrant.extra_flops)
        for entrant in self.running:
            entrant.standing = entrant.standing.model_copy(update=self.jury.measured(entrant, host))
        return host

    def _measure(self, entrant: Entrant, limit: int | None) -> None:
        entrant.kernel.eval()
        with self._in_place(entrant) as model:
            entrant.held_out = self.split.measure(model, limit=limit)
        entrant.kernel.train()

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
            **{name: getattr(self, name) for name in _COUNTERS},
            "rungs": [r.model_dump(mode="json") for r in self.rungs],
            "shadow": self.shadow.model.state_dict(),
            "randomness": self.randomness.state_dict(),
            "entrants": [
                {
                    "standing": e.standing.model_dump(mode="json"),
                    "flops": e.flops,
                    "kernel": e.kernel.state_dict(),
                    "rest": {n: p.detach() for n, p in e.rest.items()},
                    "optimizer": e.optimizer.state_dict(),
                }
                for e in self.entrants
            ],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state; the race was built with the same entrants."""
        for name in _COUNTERS:
            setattr(self, name, state[name])
        self.rungs = [RungRecord.model_validate(r) for r in state["rungs"]]
        self.shadow.model.load_state_dict(state["shadow"])
        self.randomness.load_state_dict(state["randomness"])
        for entrant, saved in zip(self.entrants, state["entrants"], strict=True):
            entrant.standing = CandidateStanding.model_validate(saved["standing"])
            entrant.flops = saved["flops"]
            entrant.kernel.load_state_dict(saved["kernel"])
            for name, value in saved["rest"].items():
                entrant.rest[name].data.copy_(value)
            entrant.optimizer.load_state_dict(saved["optimizer"])
