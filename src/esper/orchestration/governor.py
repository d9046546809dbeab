"""The governor: the last good state, kept while a graft is under way.

It watches the training loss for values that are not finite, spikes and collapse, without reading
the device at every step, and can put model and optimizer back to what they were.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn


def _clone(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {k: _clone(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_clone(v) for v in value)
    return copy.copy(value)


class Governor:
    """Guards one graft.

    Args:
        spike: the loss may rise to this multiple of its level before the graft.
        period: steps between looks at the accumulated losses.
    """

    def __init__(self, *, spike: float, period: int = 10) -> None:
        self._spike = spike
        self._period = period
        self._losses: list[Tensor] = []
        self._level: float | None = None
        self._good: dict[str, Any] | None = None

    @property
    def is_armed(self) -> bool:
        """Whether a good state is held."""
        return self._good is not None

    def arm(self, model: nn.Module, optimizer: torch.optim.Optimizer, *, level: float) -> None:
        """Remember the present state as good.

        Args:
            model: the model before the kernel is installed.
            optimizer: its optimizer; only the state is kept, not the groups.
            level: the train loss as it was just before.
        """
        self._level = level
        self._losses = []
        self._good = {
            "tensors": {
                name: t.detach().clone()
                for name, t in [*model.named_parameters(), *model.named_buffers()]
            },
            "optimizer": {p: _clone(s) for p, s in optimizer.state.items()},
        }

    def observe(self, loss: Tensor) -> str | None:
        """Note one step's loss.

        Returns:
            What is wrong, in words, at the end of a period in which something was; else ``None``.
        """
        if not self.is_armed:
            return None
        self._losses.append(loss.detach().float().reshape(()))
        if len(self._losses) < self._period:
            return None
        losses = torch.stack(self._losses).tolist()
        self._losses = []
        if not all(math.isfinite(v) for v in losses):
            return "the train loss is not finite"
        mean = sum(losses) / len(losses)
        assert self._level is not None
        limit = self._spike * max(self._level, 0.1)
        if mean > limit:
            return f"the train loss rose to {mean:.3g} from {self._level:.3g} before the graft"
        return None

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Put parameters, buffers and optimizer state back; the grafted kernel is gone already."""
        assert self._good is not None
        with torch.no_grad():
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
                if name in self._good["tensors"]:
                    tensor.copy_(self._good["tensors"][name])
                if isinstance(tensor, nn.Parameter):
                    tensor.grad = None
        optimizer.state.clear()
        optimizer.state.update(self._good["optimizer"])
        self.release()

    def release(self) -> None:
        """Forget the good state: the graft has ended."""
        self._good = None
        self._level = None
        self._losses = []

    def state_dict(self, names: dict[nn.Parameter, str]) -> dict[str, Any]:
        """The good state with the optimizer's part keyed by parameter name."""
        if self._good is None:
            return {"good": None}
        optimizer = {names[p]: s for p, s in self._good["optimizer"].items() if p in names}
        good = {"tensors": self._good["tensors"], "optimizer": optimizer}
        losses = torch.stack(self._losses) if self._losses else torch.zeros(0)
        return {"good": good, "level": self._level, "losses": losses}

    def load_state_dict(self, state: dict[str, Any], parameters: dict[str, nn.Parameter]) -> None:
        """Go on from a saved state."""
        self.release()
        if state["good"] is None:
            return
        optimizer = {parameters[n]: s for n, s in state["good"]["optimizer"].items()}
        self._good = {"tensors": state["good"]["tensors"], "optimizer": optimizer}
        self._level = state["level"]
        self._losses = list(state["losses"].unbind())
