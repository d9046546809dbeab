"""The run's own curve: train loss, growth loss, and what they say about capacity."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from esper.contracts.growth import CurvePoint
from esper.orchestration.counterfactual import HeldOut

_READ_AT_ONCE = 500
_ONE_SIDED_95 = 1.645


def finite(value: float | None) -> float | None:
    """The value, or ``None`` where it is missing or not finite."""
    return value if value is not None and math.isfinite(value) else None


class PerformanceTracker:
    """Keeps the curve. Train losses are summed on their device and read only at a look."""

    def __init__(self) -> None:
        self.curve: list[CurvePoint] = []
        self.start_loss: float | None = None
        """Calibrated growth loss before the first step."""
        self.headroom: float | None = None
        """Share of the starting loss that is surely still there: the lower 95 % confidence bound
        of the growth loss over the loss at the start. ``None`` where one is not finite."""
        self._losses: list[Tensor] = []
        self._sum = 0.0
        self._count = 0

    def observe(self, loss: Tensor) -> None:
        """Note one step's train loss (a scalar tensor; read only now and then)."""
        self._losses.append(loss.detach() if loss.requires_grad else loss)
        if len(self._losses) >= _READ_AT_ONCE:
            self._read()

    def _read(self) -> None:
        if self._losses:
            self._sum += float(torch.stack(self._losses).double().sum())
            self._count += len(self._losses)
            self._losses = []

    def look(self, step: int, held_out: HeldOut) -> CurvePoint:
        """Close the interval since the last look."""
        self._read()
        train = self._sum / self._count if self._count else None
        self._sum, self._count = 0.0, 0
        if self.start_loss is None:
            self.start_loss = finite(held_out.loss)
        self.headroom = self._headroom(held_out)
        point = CurvePoint(
            step=step,
            train_loss=finite(train),
            growth_loss=finite(held_out.loss),
            growth_metric=finite(held_out.metric),
        )
        self.curve.append(point)
        return point

    def _headroom(self, held_out: HeldOut) -> float | None:
        losses = held_out.losses.double()
        error = float(losses.std()) / math.sqrt(losses.numel())
        bound = finite(float(losses.mean()) - _ONE_SIDED_95 * error)
        if bound is None or not self.start_loss:
            return None
        return max(0.0, bound / abs(self.start_loss))

    def recent_train_loss(self) -> float:
        """Mean train loss since the last look, or up to it; infinite where none is known."""
        self._read()
        if self._count:
            return self._sum / self._count
        last = self.curve[-1].train_loss if self.curve else None
        return math.inf if last is None else last

    def fall(self) -> float | None:
        """Relative fall of the growth loss between the last two looks; ``None`` before two."""
        losses = [p.growth_loss for p in self.curve if p.growth_loss is not None]
        if len(losses) < 2:
            return None
        return (losses[-2] - losses[-1]) / max(abs(losses[-2]), 1e-12)

    def state_dict(self) -> dict[str, Any]:
        """The curve and the open interval."""
        return {
            "curve": [p.model_dump(mode="json") for p in self.curve],
            "start_loss": self.start_loss,
            "headroom": self.headroom,
            "losses": [float(v) for v in self._losses],
            "sum": self._sum,
            "count": self._count,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.curve = [CurvePoint.model_validate(p) for p in state["curve"]]
        self.start_loss, self.headroom = state["start_loss"], state["headroom"]
        self._losses = [torch.tensor(v) for v in state["losses"]]
        self._sum, self._count = state["sum"], state["count"]
