"""How far a run has come: everything about the loop itself that a checkpoint must bring back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from esper.contracts.growth import CurvePoint
from esper.services.tolaria.training_config import EarlyStopConfig


@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """The best growth loss so far, and how many evaluations have not improved on it."""

    best: float = math.inf
    since: int = 0

    def after(self, loss: float, config: EarlyStopConfig) -> EarlyStop:
        """The record after one more evaluation; a loss that is not finite is no improvement."""
        if loss < self.best - config.min_delta:
            return replace(self, best=loss, since=0)
        return replace(self, since=self.since + 1)

    def is_due(self, config: EarlyStopConfig) -> bool:
        """Whether patience has run out."""
        return 0 < config.patience <= self.since


@dataclass
class LossMean:
    """A mean of losses that waits for the device only when it is read."""

    total: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    count: int = 0

    def add(self, loss: Tensor) -> None:
        """Take one loss in."""
        self.total = self.total.to(loss.device) + loss.detach().double()
        self.count += 1

    def read(self) -> float:
        """The mean so far; NaN where there is none. Begins anew."""
        mean = float(self.total) / self.count if self.count else float("nan")
        self.total, self.count = torch.zeros_like(self.total), 0
        return mean

    def state_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"total": self.total.cpu(), "count": self.count}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> LossMean:
        """The mean that :meth:`state_dict` described."""
        return cls(total=state["total"].clone(), count=state["count"])


@dataclass
class Progress:
    """State of the training loop."""

    step: int = 0
    """Steps done."""
    logged: LossMean = field(default_factory=LossMean)
    """Of the steps since the last ``step`` record."""
    evaluated: LossMean = field(default_factory=LossMean)
    """Of the steps since the last evaluation."""
    early_stop: EarlyStop = field(default_factory=EarlyStop)
    curve: list[CurvePoint] = field(default_factory=list)
    """Every evaluation so far, those made during a race included."""
    bad_since: int | None = None
    """Step since which the loss has not been finite, or ``None``."""
    seconds: float = 0.0
    """Time spent training, in all processes of this run."""
    stopped_early: bool = False
    is_closed: bool = False
    """Whether growth has ended and its report is written."""
    adaptations: int = 0
    """How many are over: races without a winner, grafts that were judged."""
    commands: list[str] = field(default_factory=list)
    """Ids of the commands that were carried out or refused, in order."""

    def after(self, loss: Tensor) -> None:
        """One more step is done."""
        self.step += 1
        self.logged.add(loss)
        self.evaluated.add(loss)

    def state_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            **vars(self),
            "logged": self.logged.state_dict(),
            "evaluated": self.evaluated.state_dict(),
            "early_stop": [self.early_stop.best, self.early_stop.since],
            "curve": [point.model_dump(mode="json") for point in self.curve],
            "commands": list(self.commands),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Progress:
        """The progress that :meth:`state_dict` described."""
        best, since = state["early_stop"]
        plain = ("step", "bad_since", "seconds", "stopped_early", "is_closed")
        return cls(
            logged=LossMean.from_state(state["logged"]),
            evaluated=LossMean.from_state(state["evaluated"]),
            early_stop=EarlyStop(best=best, since=since),
            # Checkpoints of earlier versions do not have these three.
            curve=[CurvePoint.model_validate(point) for point in state.get("curve", ())],
            adaptations=state.get("adaptations", 0),
            commands=list(state.get("commands", ())),
            **{name: state[name] for name in plain},
        )
