"""Grafting: brings a race's winner into the live model, judges it there, keeps or removes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from esper.contracts.enums import AdaptationOutcome, Verdict
from esper.contracts.events import (
    GraftEvaluated,
    GraftStarted,
    LearningRateRewarmed,
    RolledBack,
    SeedCulled,
    SeedFossilized,
    SeedGerminated,
)
from esper.contracts.growth import CandidateStanding, Evidence, GrowthDecision
from esper.contracts.lifecycle import SeedPhase
from esper.contracts.operational import FieldReport
from esper.core.optimizer import group_of
from esper.execution.kasmina_layer import KasminaLayer
from esper.orchestration.counterfactual import HeldOut, compare
from esper.orchestration.entrant import Entrant
from esper.orchestration.governor import Governor
from esper.orchestration.graft import Graft, verdict
from esper.orchestration.jury import Outcome
from esper.orchestration.run import Run
from esper.orchestration.schedule import rewarm


@dataclass(slots=True)
class _Driven:
    """A group of grafted parameters whose learning rate is set at each step."""

    parameter: nn.Parameter
    """One of them."""
    start: int
    """Step of the graft."""
    group: dict[str, Any] | None = None
    """The optimizer's group, as it was last found."""


class Grafting:
    """The grafts of one run, one at a time, and the learning rates of what was grafted."""

    def __init__(self, run: Run, *, peak_lr: float) -> None:
        self._run = run
        self._peak_lr = peak_lr
        self._governor = Governor(spike=run.config.spike)
        self._rates: list[_Driven] = []
        self.graft: Graft | None = None
        self.fossilized = 0

    def start(self, outcome: Outcome) -> None:
        """Install the winner at alpha 0 and let alpha rise from the next step on."""
        run, entrant = self._run, outcome.winner
        assert entrant is not None
        assert outcome.evidence is not None
        assert outcome.host is not None
        layer = run.layer(entrant.slot)
        seed_idx = run.free_seed(layer)
        assert seed_idx is not None
        level = run.performance.recent_train_loss()
        self._governor.arm(run.model.wrapped_model, run.optimizer, level=level)
        standing, kernel = entrant.standing, entrant.kernel.train()
        kernel.requires_grad_(requires_grad=True)
        run.model.install_kernel(
            entrant.slot,
            seed_idx,
            kernel,
            mode=standing.mode,
            ir=entrant.candidate.ir,
            kernel_id=standing.kernel_id,
            label=standing.candidate,
        )
        self.graft = Graft(
            slot=entrant.slot,
            seed_idx=seed_idx,
            standing=standing,
            evidence=outcome.evidence,
            before=outcome.host,
            shift=self._shift(entrant),
            start=run.step,
            ramp=run.span(run.config.ramp),
            settle=run.span(run.config.settle),
        )
        self._announce(self.graft, sum(p.numel() for p in kernel.parameters()))
        self.drive(kernel, entrant.slot, seed_idx)
        self._advance(self.graft, layer)

    def drive(self, kernel: nn.Module, layer_name: str, seed_idx: int) -> None:
        """Warm up the learning rate of a kernel that was installed now, and bring it down again."""
        run, first = self._run, next(kernel.parameters(), None)
        if first is None:
            return
        self._rates.append(_Driven(first, run.step))
        self.set_rates()
        run.emit(
            LearningRateRewarmed(
                step=run.step,
                layer_name=layer_name,
                seed_idx=seed_idx,
                peak=self._peak_lr,
                warmup_steps=round(self._warmup(run.step) * self._span(run.step)),
            )
        )

    def forget_what_is_gone(self) -> None:
        """Drive kernels that were removed, or folded into their hosts, no longer."""
        remaining = set(self._run.model.parameters())
        kept = [driven for driven in self._rates if driven.parameter in remaining]
        self._rates = [_Driven(driven.parameter, driven.start) for driven in kept]

    def _shift(self, entrant: Entrant) -> dict[str, Tensor]:
        live = dict(self._run.model.named_parameters())
        # A kernel that was frozen stays as it is, whatever became of its copy in the shadow.
        return {
            n: p.detach() - live[n].detach()
            for n, p in entrant.rest.items()
            if live[n].requires_grad
        }

    @property
    def drives(self) -> bool:
        """Whether learning rates of what was grafted have to be set at each step."""
        return bool(self._rates)

    def step(self, loss: Tensor) -> bool:
        """Do what is due at a step boundary. Returns whether a graft is under way."""
        run, graft = self._run, self.graft
        if graft is None:
            return False
        trouble = self._governor.observe(loss)
        layer = run.layer(graft.slot)
        if layer.seed(graft.seed_idx).phase is SeedPhase.ERROR_RECOVERY:
            trouble = "the kernel failed three times and was isolated"
        if trouble is not None:
            self._remove(graft, trouble, AdaptationOutcome.ROLLED_BACK)
        elif graft.is_due(run.step):
            self._judge(graft, layer)
        else:
            self._advance(graft, layer)
        return True

    def conclude(self) -> None:
        """End of the run: a graft that is still under way is judged as it stands."""
        if self.graft is not None:
            layer = self._run.layer(self.graft.slot)
            self._raise_alpha(self.graft, layer, 1.0)
            self._judge(self.graft, layer)

    def _announce(self, graft: Graft, parameters: int) -> None:
        where: dict[str, Any] = {
            "step": graft.start,
            "layer_name": graft.slot,
            "seed_idx": graft.seed_idx,
            "blueprint": graft.standing.candidate,
            "mode": graft.standing.mode,
        }
        self._run.emit(
            SeedGerminated(**where, kernel_id=graft.standing.kernel_id, parameters=parameters)
        )
        self._run.emit(
            GraftStarted(
                **where,
                duration_steps=graft.ramp,
                schedule=self._run.config.alpha_schedule.value,
            )
        )

    def _advance(self, graft: Graft, layer: KasminaLayer) -> None:
        self._raise_alpha(graft, layer, graft.alpha(self._run.step + 1, self._run.config))

    def _raise_alpha(self, graft: Graft, layer: KasminaLayer, alpha: float) -> None:
        """Set alpha, and let what lies behind the slot follow by the same share of its way."""
        old = layer.seed(graft.seed_idx).alpha
        if alpha == old:
            return
        layer.set_alpha(graft.seed_idx, alpha)
        parameters = dict(self._run.model.named_parameters())
        with torch.no_grad():
            for name, shift in graft.shift.items():
                parameters[name].add_(shift, alpha=alpha - old)
        if old == 0.0 or alpha == 1.0:  # another set of branches runs from now on
            self._run.remeasure()

    def set_rates(self) -> None:
        """Set the learning rate of everything that was grafted for the next step.

        The groups are looked for only after the optimizer's have changed: this runs at every step
        to the end of the run.
        """
        optimizer, step = self._run.optimizer, self._run.step + 1
        for driven in self._rates:
            group = driven.group
            for known in optimizer.param_groups:
                if known is group:
                    break
            else:
                group = driven.group = group_of(optimizer, driven.parameter)
            if group is not None:
                progress = (step - driven.start) / self._span(driven.start)
                group["lr"] = self._peak_lr * rewarm(progress, self._warmup(driven.start))

    def _span(self, start: int) -> int:
        """Steps from a graft to the end of the run."""
        return max(1, self._run.total_steps - start)

    def _warmup(self, start: int) -> float:
        """Share of that span in which the rate rises."""
        return min(0.5, self._run.config.graft_warmup / self._span(start))

    def _judge(self, graft: Graft, layer: KasminaLayer) -> None:
        run = self._run
        after = run.measure()
        with layer.at_alpha(graft.seed_idx, 0.0):
            without = run.measure()
        evidence = self._compare(graft.before, after)
        counterfactual = self._compare(without, after)
        kept, reason = verdict(evidence)
        if kept and counterfactual.ci_high < 0:
            kept, reason = False, "the model is better with the kernel at alpha 0"
        run.emit(
            GraftEvaluated(
                step=run.step,
                layer_name=graft.slot,
                seed_idx=graft.seed_idx,
                blueprint=graft.standing.candidate,
                gain=counterfactual.gain,
                ci_low=counterfactual.ci_low,
                ci_high=counterfactual.ci_high,
                kept=kept,
            )
        )
        if kept:
            self._fossilize(graft, layer, evidence, reason)
        else:
            self._remove(graft, reason, AdaptationOutcome.CULLED, evidence)

    def _compare(self, without: HeldOut, with_kernel: HeldOut) -> Evidence:
        run = self._run
        return compare(without, with_kernel, seed=run.seed, confidence=run.config.confidence)

    def _fossilize(
        self, graft: Graft, layer: KasminaLayer, evidence: Evidence, reason: str
    ) -> None:
        run = self._run
        parameters = run.parameters()
        run.model.fossilize(graft.slot, graft.seed_idx)
        self.forget_what_is_gone()
        self._end(graft)
        self.fossilized += 1
        report = self._field_report(
            graft, AdaptationOutcome.FOSSILIZED, evidence, run.parameters() - parameters
        )
        run.emit(
            SeedFossilized(
                step=run.step,
                layer_name=graft.slot,
                seed_idx=graft.seed_idx,
                blueprint=graft.standing.candidate,
                host_dropped=layer.host_dropped,
                parameters=run.parameters(),
                report=report,
            )
        )
        self._write_down(Verdict.FOSSILISE, graft.standing, evidence, reason)

    def _remove(
        self,
        graft: Graft,
        reason: str,
        outcome: AdaptationOutcome,
        evidence: Evidence | None = None,
    ) -> None:
        """Take the kernel out and put the model back to what it was before the graft."""
        run = self._run
        embargo_until = run.step + run.span(run.config.cooldown)
        run.model.cull(graft.slot, graft.seed_idx, embargo_until=embargo_until)
        self.forget_what_is_gone()
        self._governor.restore(run.model.wrapped_model, run.optimizer)
        self._end(graft)
        run.emit(RolledBack(step=run.step, to_step=graft.start, reason=reason))
        run.emit(
            SeedCulled(
                step=run.step,
                layer_name=graft.slot,
                seed_idx=graft.seed_idx,
                blueprint=graft.standing.candidate,
                reason=reason,
                report=self._field_report(graft, outcome, evidence, 0),
            )
        )
        verb = Verdict.CULL if outcome is AdaptationOutcome.CULLED else Verdict.ROLL_BACK
        self._write_down(verb, graft.standing, evidence, reason)

    def _end(self, graft: Graft) -> None:
        self._governor.release()
        self.graft = None
        self._run.last_race = self._run.step
        self._run.remeasure()

    def _field_report(
        self,
        graft: Graft,
        outcome: AdaptationOutcome,
        evidence: Evidence | None,
        parameters_added: int,
    ) -> FieldReport:
        known = (
            {} if evidence is None else evidence.model_dump(include={"gain", "ci_low", "ci_high"})
        )
        return FieldReport(
            step=self._run.step,
            layer_name=graft.slot,
            seed_idx=graft.seed_idx,
            blueprint=graft.standing.candidate,
            kernel_id=graft.standing.kernel_id,
            outcome=outcome,
            rent=graft.standing.rent,
            parameters_added=parameters_added,
            **known,
        )

    def _write_down(
        self, verb: Verdict, standing: CandidateStanding, evidence: Evidence | None, reason: str
    ) -> None:
        self._run.decide(
            GrowthDecision(
                step=self._run.step,
                verdict=verb,
                candidate=standing,
                evidence=evidence,
                rent=standing.rent,
                reason=f"{standing.title} in {standing.layer_name}: {reason}",
            )
        )

    def state_dict(self) -> dict[str, Any]:
        """The graft under way, the good state behind it, and the grafted groups."""
        names = {p: n for n, p in self._run.model.named_parameters()}
        return {
            "fossilized": self.fossilized,
            "rates": [[names[d.parameter], d.start] for d in self._rates],
            "graft": None if self.graft is None else self.graft.state_dict(),
            "governor": self._governor.state_dict(names),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state; the model has its kernels again already."""
        parameters = dict(self._run.model.named_parameters())
        self.fossilized = state["fossilized"]
        self._rates = [_Driven(parameters[n], start) for n, start in state["rates"]]
        graft = state["graft"]
        self.graft = None if graft is None else Graft.from_state_dict(graft)
        self._governor.load_state_dict(state["governor"], parameters)
