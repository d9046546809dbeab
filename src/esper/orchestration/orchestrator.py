"""The orchestrator: runs the growth cycle on a model while somebody else's loop trains it.

Start at `SeedOrchestrator.step`. At any time one of three things goes on: nothing (the curve is
looked at now and then, and the controller asked), a race (`racing.py`), or a graft (`grafting.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from esper.contracts.enums import AdaptationAction
from esper.contracts.errors import ConfigError, OptimizerError
from esper.contracts.events import HealthMeasured
from esper.contracts.growth import CostAccount, GrowthReport
from esper.contracts.messages import KasminaControlCommand
from esper.contracts.operational import GrowthObservation, HealthSignal
from esper.contracts.ports import Controller, TelemetrySink
from esper.core.meter import Meter
from esper.core.morphable_model import MorphableModel
from esper.core.single_process import check_single_process
from esper.execution.artifact import KernelArtifact
from esper.execution.health import HealthProbe
from esper.execution.health_monitor import HealthMonitor
from esper.orchestration.blueprint_registry import BlueprintRegistry
from esper.orchestration.commanding import Commanding
from esper.orchestration.compute_ledger import PROBE_SAMPLES, Ledger
from esper.orchestration.controller import HeuristicController, controller_state, restore_controller
from esper.orchestration.counterfactual import (
    GrowthSplit,
    HeldOut,
    LossFn,
    MetricFn,
    batch_size,
)
from esper.orchestration.grafting import Grafting
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.growth_report import growth_report, layer_records
from esper.orchestration.journal import Journal
from esper.orchestration.nursery import Nursery
from esper.orchestration.observation import observation
from esper.orchestration.racing import Racing
from esper.orchestration.run import Run
from esper.orchestration.schedule import kernel_lr, leading_group
from esper.orchestration.shadow import OwnRandomness

_LOOK_SAMPLES = 1000
"""Held-out samples for the run's curve; evidence uses all."""
_OBSERVE_SHARE = 0.1
"""Longest span between two health samples: a short run gets some too."""
_UNBOOKED = 500
"""Steps after which at the latest they are booked."""


class SeedOrchestrator:
    """Grows ``model`` in one training run; call :meth:`step` after every optimizer step.

    Args:
        model: from ``esper.wrap``; with ``example_input`` there, far more blueprints fit.
        optimizer: the loop's optimizer over ``model.parameters()``; it is kept up to date.
        loss_fn: ``loss_fn(output, target)`` → mean loss (scalar tensor).
        growth_data: batches ``(x, y)`` held out from training, samples along the first axis; all
            decisions rest on them. Kept in memory, up to ``config.growth_samples``.
        total_steps: optimizer steps of the whole run.
        metric: ``metric(output, target)`` → number, higher is better; reported only.
        scheduler: the loop's learning-rate scheduler. It goes on driving the parameters that it
            was made for; the loop goes on calling its ``step``.
        config: see `GrowthConfig`.
        controller: decides when to open a race; `HeuristicController` by default. What one with
            ``state_dict`` and ``load_state_dict`` remembers is saved with the run.
        kernels: proven kernels of other runs, those to try first in front. Where they fit, they
            enter races with their trained weights, beside fresh blueprints.
        nursery: holds races in another process, for example
            `esper.services.tezzeret.nursery_server.ProcessNursery`; ``None`` holds them in ``step``. A
            race comes out the same; when its winner comes in then depends on the machine's speed.
        sinks: receive every event.
        seed: of everything random here. Same seed, same decisions.

    Raises:
        ConfigError: ``growth_data`` or ``total_steps`` cannot work, or ``torch.distributed`` runs
            with more than one process.
        OptimizerError: the optimizer does not hold the model's parameters.
    """

    _next_look = 0
    _next_due = 0
    """Step before which there is nothing to do but count."""
    _seen: tuple[int, int, HeldOut] | None = None
    """Step and samples of the latest look, and what it found."""
    _signals: tuple[HealthSignal, ...] = ()

    def __init__(
        self,
        model: MorphableModel,
        optimizer: torch.optim.Optimizer,
        *,
        loss_fn: LossFn,
        growth_data: Iterable[Any],
        total_steps: int,
        metric: MetricFn | None = None,
        scheduler: Any = None,
        config: GrowthConfig | None = None,
        controller: Controller | None = None,
        kernels: Sequence[KernelArtifact] = (),
        nursery: Nursery | None = None,
        sinks: Sequence[TelemetrySink] = (),
        seed: int = 0,
    ) -> None:
        self.config = GrowthConfig() if config is None else config
        _check(model, optimizer, total_steps)
        model.attach_optimizer(optimizer, scheduler=scheduler)
        split = GrowthSplit(
            growth_data,
            loss_fn,
            metric=metric,
            limit=self.config.growth_samples,
            calibrate=self.config.calibrate,
            device=(device := next(model.parameters()).device),
        )
        randomness = OwnRandomness(seed, device)
        with randomness():
            ledger = Ledger(model.wrapped_model, *split.probe(PROBE_SAMPLES), loss_fn)
        self.run = Run(
            model=model,
            optimizer=optimizer,
            config=self.config,
            loss_fn=loss_fn,
            total_steps=total_steps,
            seed=seed,
            device=device,
            split=split,
            ledger=ledger,
            blueprints=BlueprintRegistry(self.config.families, kernels),
            journal=_journal(model),
            randomness=randomness,
            sinks=tuple(sinks),
            kernel_lr=self.config.kernel_lr or kernel_lr(optimizer),
        )
        self.controller = controller or HeuristicController(self.config)
        self._racing = _racing(self.run, nursery, metric)
        self._leading, self._peak = leading_group(optimizer)
        self._grafting = Grafting(self.run, peak_lr=self._peak)
        self._commanding = Commanding(self.run, self._racing, self._grafting)
        self._probe = HealthProbe(model)
        self._monitor = HealthMonitor()
        self._unbooked: list[tuple[int, int, Tensor]] = []
        model.meter = self._meter = Meter()
        self._look()

    # What a training loop calls ------------------------------------------------------------------

    def step(self, x: Any, y: Any, loss: Tensor, *, samples: int | None = None) -> None:
        """Do what is due at this step boundary; mostly nothing but count.

        Args:
            x: the batch that the model was just trained on.
            y: its targets.
            loss: its loss (scalar tensor; not read at once, so no device is waited for).
            samples: samples that the whole step was trained on, where gradients of several batches
                were accumulated. Left out, the model's own training passes since the last step are
                counted; those of a compiled model cannot be, so say it there.
        """
        run = self.run
        model = run.model
        run.step = step = run.step + 1
        model.apply_pending()
        given = batch_size(y)
        counted = self._meter.take(x, given)
        self._unbooked.append((counted if samples is None else samples, given, loss.detach()))
        if model.isolations:
            run.tell_isolations()
        if self._grafting.drives:
            self._grafting.set_rates()
        if step >= self._next_due:
            self._book()
            self._do_what_is_due(x, y, loss)
            self._next_due = self._due_after(step)

    def _do_what_is_due(self, x: Any, y: Any, loss: Tensor) -> None:
        run = self.run
        self._sample_health()
        if self._grafting.step(loss):
            return
        if self._racing.race is not None:
            outcome = self._racing.step(x, y, self._pace())
            if outcome is not None and outcome.winner is not None:
                self._grafting.start(outcome)
        elif run.step >= self._next_look:
            self._look()
            self._consult()

    @property
    def _observe_every(self) -> int:
        return min(self.config.observe_every, self.run.span(_OBSERVE_SHARE))

    def _due_after(self, step: int) -> int:
        """The next step at which there is more to do than to count."""
        if self._racing.race is not None or self._grafting.graft is not None:
            return step + 1
        every = self._observe_every
        sample = step + every - step % every  # armed one step ahead
        sample = sample - 1 if step < sample - 1 else sample
        return min(self._next_look, sample, step + _UNBOOKED)

    def _book(self) -> None:
        """Enter the steps since the last time: one by one they would cost more than they say."""
        steps, self._unbooked = self._unbooked, []
        for samples, given, loss in steps:
            self.run.ledger.charge_step(samples, given)
            self.run.performance.observe(loss)

    def finish(self) -> GrowthReport:
        """End the run: a race is called off, a graft judged as it stands. Returns the report."""
        self._book()
        self._racing.call_off()
        if self.is_grafting:
            self._grafting.conclude()
            self._seen = None
        self._probe.disarm()
        if self.run.performance.curve[-1].step < self.run.step:  # else it has just been looked at
            self._look()
        return self.report()

    def report(self) -> GrowthReport:
        """The report as of now."""
        self._book()
        return growth_report(self.run)

    def carry_out(
        self, command: KasminaControlCommand, kernel: KernelArtifact | None = None
    ) -> bool:
        """Do to a seed what somebody outside asks for. Call it at a step boundary, after `step`.

        Args:
            command: what to do; which run it names is not looked at.
            kernel: what to load, where a kernel is to be loaded.

        Returns:
            Whether it was done; False while a race or a graft goes on in another layer.

        Raises:
            EsperError: it cannot be done, or the run itself is at work in that layer. Nothing was
                changed.
        """
        if not self._commanding.may_begin(command):
            return False
        self._book()
        self._commanding.carry_out(command, kernel)
        self._next_due, self._seen = 0, None
        return True

    def cost(self) -> CostAccount:
        """What the run has cost so far."""
        self._book()
        return self.run.ledger.account()

    @property
    def current_step(self) -> int:
        """Steps so far."""
        return self.run.step

    @property
    def is_racing(self) -> bool:
        """Whether candidates are training in the shadow."""
        return self._racing.race is not None

    @property
    def is_grafting(self) -> bool:
        """Whether a kernel is on its way into the model."""
        return self._grafting.graft is not None

    # Looking and asking --------------------------------------------------------------------------

    def held_out(self, samples: int = _LOOK_SAMPLES) -> HeldOut:
        """The model's answers on the growth split as it stands, measured once at a step.

        Args:
            samples: of the split's first so many, whole batches; all of them if it has no more.
        """
        run, samples = self.run, self.run.split.samples(samples)
        if self._seen is None or self._seen[:2] != (run.step, samples):
            self._seen = (run.step, samples, run.measure(samples))
        return self._seen[2]

    def _look(self) -> None:
        run = self.run
        run.performance.look(run.step, self.held_out())
        self._next_look = run.step + run.span(self.config.check_every)

    def _pace(self) -> float:
        """The loop's present learning rate as a share of its peak, in [0, 1]."""
        groups = self.run.optimizer.param_groups
        group = groups[min(self._leading, len(groups) - 1)]
        return min(1.0, float(group["lr"]) / self._peak)

    def _consult(self) -> None:
        decision = self.controller.decide(self.observe())
        if decision is None:
            return
        if decision.action is not AdaptationAction.GROW or decision.window_steps is not None:
            message = (
                f"the controller decided on {decision.action.value!r} with window_steps="
                f"{decision.window_steps}; an orchestrator only opens races, whose length the "
                "configuration sets: return action GROW without window_steps"
            )
            raise ConfigError(message)
        self._racing.open(decision)

    def observe(self) -> GrowthObservation:
        """What the controller sees now."""
        self._book()
        return observation(self.run, self._signals, fossilized=self._grafting.fossilized)

    def _sample_health(self) -> None:
        run, every = self.run, self._observe_every
        phase = run.step % every
        if phase == every - 1:
            self._probe.arm()
        elif phase == 0 and run.step:
            self._signals = tuple(self._probe.read(run.optimizer, step=run.step))
            run.emit(HealthMeasured(step=run.step, signals=self._signals))
            self._monitor.observe(self._signals)

    # Saving and resuming -------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that a run needs to go on bit for bit, besides model and optimizer."""
        self._book()
        run = self.run
        return {
            "step": run.step,
            "last_race": run.last_race,
            "next_look": self._next_look,
            "signals": [s.model_dump(mode="json") for s in self._signals],
            "probe": self._probe.state_dict(),
            "probing": self._probe.armed,
            "controller": controller_state(self.controller),
            "randomness": run.randomness.state_dict(),
            "ledger": run.ledger.state_dict(),
            "performance": run.performance.state_dict(),
            "blueprints": run.blueprints.state_dict(),
            "journal": run.journal.state_dict(),
            "racing": self._racing.state_dict(),
            "grafting": self._grafting.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state; model and optimizer have been restored already."""
        run = self.run
        run.step, run.last_race = state["step"], state["last_race"]
        self._next_look, self._next_due = state["next_look"], 0
        self._unbooked.clear()
        self._seen = None
        self._signals = tuple(HealthSignal.model_validate(s) for s in state["signals"])
        self._probe.load_state_dict(state["probe"])
        if state["probing"]:
            self._probe.arm()
        if "controller" in state:  # a checkpoint of an earlier version knows none
            restore_controller(self.controller, state["controller"])
        run.ledger.load_state_dict(state["ledger"])
        run.performance.load_state_dict(state["performance"])
        run.blueprints.load_state_dict(state["blueprints"])
        run.journal.load_state_dict(state["journal"])
        self._racing.load_state_dict(state["racing"])
        self._grafting.load_state_dict(state["grafting"])
        run.randomness.load_state_dict(state["randomness"])


def _check(model: object, optimizer: torch.optim.Optimizer, total_steps: int) -> None:
    check_single_process("esper.SeedOrchestrator")
    if not isinstance(model, MorphableModel):
        message = f"model is a {type(model).__name__}; wrap it first: model = esper.wrap(net, …)"
        raise ConfigError(message)
    if total_steps < 1:
        message = f"total_steps is {total_steps!r}; give the run's optimizer steps, at least 1"
        raise ConfigError(message)
    held = {p for group in optimizer.param_groups for p in group["params"]}
    if held.isdisjoint(model.parameters()):
        message = (
            "the optimizer holds none of the model's parameters; make it from "
            "model.parameters() after esper.wrap, which copies the model unless inplace=True"
        )
        raise OptimizerError(message)


def _racing(run: Run, nursery: Nursery | None, metric: MetricFn | None) -> Racing:
    if nursery is not None:
        model = run.model.wrapped_model
        nursery.check({"model": model, "loss_fn": run.loss_fn, "metric": metric})
    return Racing(run, nursery)


def _journal(model: MorphableModel) -> Journal:
    parameters = sum(p.numel() for p in model.parameters())
    return Journal(parameters=parameters, layers=layer_records(model))
