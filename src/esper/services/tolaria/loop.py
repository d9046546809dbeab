"""The training loop: step, log, evaluate, save; until the end, or until somebody says stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from esper.contracts.errors import DivergenceError
from esper.contracts.growth import CurvePoint
from esper.core.morphable_model import MorphableModel
from esper.services.tolaria.evaluation import evaluate
from esper.services.tolaria.orders import Orders
from esper.services.tolaria.run_progress import Progress
from esper.services.tolaria.session import Session

Record = Mapping[str, Any]

_PATIENCE_WITH_GROWTH = 50
"""Steps that a run which may grow is given to roll a bad graft back."""


class TrainingLoop:
    """Trains a session.

    Args:
        session: what to train.
        progress: where to go on from.
        write: takes each record of the run log.
        save: saves a checkpoint; called at the boundaries of steps, after their records.
        orders: what was asked for over the bus; looked at before the records of a step.
        is_stopped: asked at each boundary.
    """

    def __init__(
        self,
        session: Session,
        progress: Progress,
        *,
        write: Callable[[Record], None],
        save: Callable[[], None],
        orders: Orders,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._session = session
        self._progress = progress
        self._write = write
        self._save = save
        self._orders = orders
        self._is_stopped = is_stopped

    def run(self) -> None:
        """Train until the planned end, an early stop, or a request to stop.

        Raises:
            DivergenceError: the loss is not finite and stayed so.
        """
        session, progress = self._session, self._progress
        session.model.train()
        while not self._is_over():
            x, y = self._batch()
            loss = self._train(x, y)
            progress.step += 1
            progress.logged.add(loss)
            progress.evaluated.add(loss)
            if session.orchestrator is not None:
                session.orchestrator.step(x, y, loss)
            if self._orders.waiting:
                self._orders.carry_out()
            self._at_boundary(loss)
            if self._is_stopped():
                return

    def _is_over(self) -> bool:
        return self._progress.stopped_early or self._progress.step >= self._session.plan.steps

    def _batch(self) -> tuple[Tensor, Tensor]:
        rows = self._session.sampler.rows(self._progress.step)
        x, y = self._session.train
        return x[rows], y[rows]

    def _train(self, x: Tensor, y: Tensor) -> Tensor:
        """One optimizer step. Returns the loss, a scalar without gradient."""
        session = self._session
        pieces = session.config.accumulation
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

    def _at_boundary(self, loss: Tensor) -> None:
        session, progress = self._session, self._progress
        step, last = progress.step, progress.step == session.plan.steps
        logs = last or step % session.config.log_every == 0
        evaluates = last or step % session.plan.eval_every == 0
        saves = last or step % session.config.checkpoint_every == 0
        if logs or saves:
            self._watch(float(loss))
        if logs:
            self._log()
        if evaluates:
            self._evaluate()
        if (saves or progress.stopped_early) and progress.bad_since is None:
            self._save()

    def _watch(self, loss: float) -> None:
        progress = self._progress
        if math.isfinite(loss):
            progress.bad_since = None
            return
        progress.bad_since = progress.step if progress.bad_since is None else progress.bad_since
        patience = 0 if self._session.orchestrator is None else _PATIENCE_WITH_GROWTH
        over = progress.step == self._session.plan.steps
        if over or progress.step - progress.bad_since >= patience:
            rate = self._session.optimizer.param_groups[0]["lr"]
            raise DivergenceError(
                f"the train loss is {loss} since step {progress.bad_since} (learning rate now "
                f"{rate:.3g}): lower optimizer.lr, or set clip_norm"
            )

    def _log(self) -> None:
        self._write(
            {
                "type": "step",
                "step": self._progress.step,
                "train_loss": self._progress.logged.read(),
                "lr": float(self._session.optimizer.param_groups[0]["lr"]),
                "alpha": _alphas(self._session),
            }
        )

    def _evaluate(self) -> None:
        session, progress = self._session, self._progress
        limit = session.config.eval_samples
        growth = (session.growth[0][:limit], session.growth[1][:limit])
        figures = evaluate(session.model, growth, session.bundle.loss_fn, session.bundle.measure)
        progress.early_stop = progress.early_stop.after(figures.loss, session.config.early_stop)
        progress.stopped_early = progress.early_stop.is_due(session.config.early_stop)
        measured = {
            "step": progress.step,
            "train_loss": progress.evaluated.read(),
            "growth_loss": figures.loss,
            "growth_metric": figures.metric,
        }
        progress.curve.append(
            CurvePoint.model_validate({n: _finite(value) for n, value in measured.items()})
        )
        self._write({"type": "eval", **measured, "cost": _cost(session)})


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cost(session: Session) -> dict[str, float] | None:
    """Compute so far; None where growth is off."""
    if session.orchestrator is None:
        return None
    cost: dict[str, float] = session.orchestrator.cost().model_dump(mode="json")
    return cost


def _alphas(session: Session) -> dict[str, float]:
    """Blending coefficient of every live seed, by ``layer#slot``."""
    if not isinstance(session.model, MorphableModel):
        return {}
    return {
        f"{name}#{seed.index}": seed.alpha
        for name, layer in session.model.kasmina_layers.items()
        for seed in layer.live_seeds()
    }
