"""One attempt at a run: the training loop, from where the session is to its end.

`Run.train` is the loop, and `Run.step` what a training step is. What is decided at the boundary of
a step (log, evaluate, save) stands below them; how a run begins and ends, in `trainer.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from esper.contracts.errors import CheckpointError, DivergenceError, TrainingError
from esper.contracts.growth import CurvePoint
from esper.contracts.records import CheckpointFailed, Evaluated, StepLogged
from esper.core import checkpoint
from esper.core.morphable_model import MorphableModel
from esper.services.tolaria.evaluation import Figures, evaluate
from esper.services.tolaria.run_control import Control, Orders
from esper.services.tolaria.run_folder import CHECKPOINT, resume_command
from esper.services.tolaria.run_log import RunLog
from esper.services.tolaria.run_progress import Progress
from esper.services.tolaria.session import Session
from esper.services.tolaria.signals import StopRequest
from esper.services.tolaria.telemetry import Telemetry

_PATIENCE_WITH_GROWTH = 50
"""Steps that a run which may grow is given to roll a bad graft back."""


class Run:
    """Trains a session.

    Args:
        session: what to train.
        progress: where to go on from.
        log: the run log, in the run's folder; a checkpoint notes its length.
        telemetry: takes each record for it.
        stop: asked at each boundary of steps.
        control: brings commands for the run.
        clock: seconds, never running backwards.
    """

    def __init__(
        self,
        session: Session,
        progress: Progress,
        log: RunLog,
        telemetry: Telemetry,
        stop: StopRequest,
        control: Control,
        clock: Callable[[], float],
    ) -> None:
        self.session = session
        self.progress = progress
        self.telemetry = telemetry
        self.orders = Orders(control, session.orchestrator, progress, telemetry, stop)
        self._log = log
        self._stop = stop
        self._clock = clock
        self._begun = clock() - progress.seconds
        self._checkpoint = log.path.with_name(CHECKPOINT)
        self.saved_step: int | None = progress.step if self._checkpoint.exists() else None
        """Step of the checkpoint on disk, or ``None``."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train."""
        return self.progress.stopped_early or self.progress.step >= self.session.plan.steps

    def train(self) -> None:
        """Train until the planned end, an early stop, or a request to stop.

        Raises:
            DivergenceError: the loss is not finite and stayed so.
        """
        session, progress = self.session, self.progress
        session.model.train()
        while not (self.is_over or self._stop.is_asked):
            x, y = session.batch(progress.step)
            loss = self.step(x, y)
            progress.after(loss)
            if session.orchestrator is not None:
                session.orchestrator.step(x, y, loss)
            self.orders.carry_out()
            self._at_boundary(loss)

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """One optimizer step on a batch. Returns the loss, a scalar without gradient."""
        session, pieces = self.session, self.session.config.accumulation
        session.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=session.device)
        for part_x, part_y in zip(x.chunk(pieces), y.chunk(pieces), strict=True):
            with session.autocast():
                loss = session.bundle.loss_fn(session.forward(part_x), part_y) / pieces
            loss.backward()
            total += loss.detach()
        if session.config.clip_norm is not None:
            parameters = [p for g in session.optimizer.param_groups for p in g["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, session.config.clip_norm)
        session.optimizer.step()
        session.scheduler.step()
        return total

    def save(self) -> None:
        """Write a checkpoint, after everything that the log holds.

        Raises:
            CheckpointError: the disk is full or failing. The checkpoint before is intact.
        """
        session, progress = self.session, self.progress
        self.count_time()
        try:
            self._log.sync()
            checkpoint.save(
                self._checkpoint,
                model=session.model,
                optimizer=session.optimizer,
                scheduler=session.scheduler,
                orchestrator=session.orchestrator,
                extra={"progress": progress.state_dict(), "log": self._log.length},
            )
        except (CheckpointError, TrainingError) as error:
            raise CheckpointError(f"{error} {self._what_is_safe()}") from error
        self.saved_step = progress.step
        self.orders.settle()

    def save_if_fit(self) -> None:
        """Write a checkpoint of this step, if there is none yet and the loss is finite."""
        if self.saved_step != self.progress.step and self.progress.bad_since is None:
            self.save()

    def count_time(self) -> None:
        """Bring the time spent training up to date."""
        self.progress.seconds = self._clock() - self._begun

    def _what_is_safe(self) -> str:
        if self.saved_step is None:
            return "There is no checkpoint yet."
        resume = resume_command(self._checkpoint.parent)
        return f"The checkpoint of step {self.saved_step} is intact: make room, then {resume}"

    def _at_boundary(self, loss: Tensor) -> None:
        session, progress = self.session, self.progress
        step, last = progress.step, progress.step == session.plan.steps
        logs = last or step % session.config.log_every == 0
        evaluates = last or step % session.plan.eval_every == 0
        saves = last or step % session.config.checkpoint_every == 0
        if logs or saves:
            self._watch(float(loss))
        if logs:
            self._log_point()
        if evaluates:
            self._evaluate()
        if (saves or progress.stopped_early) and progress.bad_since is None:
            try:
                self.save()
            except CheckpointError as error:
                # The next one is tried in its turn, and the one at the end must succeed.
                self.telemetry.write(CheckpointFailed(step=step, error=str(error)))

    def _watch(self, loss: float) -> None:
        progress = self.progress
        if math.isfinite(loss):
            progress.bad_since = None
            return
        progress.bad_since = progress.step if progress.bad_since is None else progress.bad_since
        patience = 0 if self.session.orchestrator is None else _PATIENCE_WITH_GROWTH
        over = progress.step == self.session.plan.steps
        if over or progress.step - progress.bad_since >= patience:
            raise DivergenceError(
                f"the train loss is {loss} since step {progress.bad_since} (learning rate now "
                f"{self._rate():.3g}): lower optimizer.lr, or set clip_norm"
            )

    def _log_point(self) -> None:
        loss = self.progress.logged.read()
        self.telemetry.write(
            StepLogged(
                step=self.progress.step,
                train_loss=_finite(loss),
                lr=self._rate(),
                alpha=_alphas(self.session.model),
            )
        )

    def _rate(self) -> float:
        return float(self.session.optimizer.param_groups[0]["lr"])

    def _evaluate(self) -> None:
        session, progress, config = self.session, self.progress, self.session.config
        figures = _figures(session)
        progress.early_stop = progress.early_stop.after(figures.loss, config.early_stop)
        progress.stopped_early = progress.early_stop.is_due(config.early_stop)
        point = CurvePoint(
            step=progress.step,
            train_loss=_finite(progress.evaluated.read()),
            growth_loss=_finite(figures.loss),
            growth_metric=_finite(figures.metric),
        )
        progress.curve.append(point)
        cost = None if session.orchestrator is None else session.orchestrator.cost()
        self.telemetry.write(Evaluated(**dict(point), cost=cost))


def _figures(session: Session) -> Figures:
    """The model on the growth split; an orchestrator that has just looked is not asked to again."""
    limit = session.config.eval_samples
    if session.orchestrator is not None:
        seen = session.orchestrator.held_out(limit)
        return Figures(loss=seen.raw_loss, metric=math.nan if seen.metric is None else seen.metric)
    growth = (session.growth[0][:limit], session.growth[1][:limit])
    return evaluate(session.model, growth, session.bundle.loss_fn, session.bundle.measure)


def restore(session: Session, state: checkpoint.Checkpoint | None) -> Progress:
    """Put a session that is at step 0 into a saved state.

    Returns:
        How far it is; step 0 without a state.

    Raises:
        CheckpointError: the state is of another model, or not of a training run.
        OptimizerError: the state is of another optimizer.
    """
    if state is None:
        return Progress()
    checkpoint.restore(
        state,
        model=session.model,
        optimizer=session.optimizer,
        scheduler=session.scheduler,
        orchestrator=session.orchestrator,
    )
    try:
        return Progress.from_state(_extra(state)["progress"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"the checkpoint does not say rightly how far the run was ({error!r}): go back to an "
            "earlier one"
        ) from error


def log_length(state: checkpoint.Checkpoint | None) -> int:
    """Bytes that the run log had when a state was saved.

    Raises:
        CheckpointError: the state is not of a training run.
    """
    return 0 if state is None else int(_extra(state)["log"])


def _extra(state: checkpoint.Checkpoint) -> dict[str, Any]:
    if state.extra is None or not {"progress", "log"} <= state.extra.keys():
        raise CheckpointError(
            "the checkpoint was not written by a training run: it does not say how far the run was"
        )
    return state.extra


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _alphas(model: nn.Module) -> dict[str, float]:
    """Blending coefficient of every live seed, by ``layer#slot``."""
    if not isinstance(model, MorphableModel):
        return {}
    return {
        f"{name}#{seed.index}": seed.alpha
        for name, layer in model.kasmina_layers.items()
        for seed in layer.live_seeds()
    }
