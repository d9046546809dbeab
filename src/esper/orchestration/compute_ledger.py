"""The cost account: every FLOP of a run, measured once per shape of the model and multiplied."""

from __future__ import annotations

from typing import Any

from torch import nn

from esper.contracts.growth import CostAccount
from esper.orchestration.counterfactual import LossFn, batch_size
from esper.orchestration.shadow import copy_module, forward_flops, training_flops

PROBE_SAMPLES = 16


class Ledger:
    """Counts FLOPs (a multiply-add is two; what `FlopCounterMode` counts) per sample.

    Args:
        model: the model before any growth; the static control of the account.
        x: a batch to measure with.
        y: its targets.
        loss_fn: the task's loss.
    """

    def __init__(self, model: nn.Module, x: Any, y: Any, loss_fn: LossFn) -> None:
        self._batch = (x, y)
        self._loss_fn = loss_fn
        self._samples = batch_size(y)
        self.step_flops = 0.0
        """Training FLOPs per sample of the model as it stands."""
        self.forward_flops = 0.0
        """Forward FLOPs per sample of the model as it stands."""
        self.samples = 0
        self.host = 0.0
        self.shadow = 0.0
        self.evaluation = 0.0
        self.remeasure(model)
        self.static_step_flops = self.step_flops
        self.static_forward_flops = self.forward_flops

    def remeasure(self, model: nn.Module) -> None:
        """Measure again after the model has changed shape."""
        x, y = self._batch
        self.step_flops = training_flops(model, x, y, self._loss_fn) / self._samples
        self.forward_flops = forward_flops(copy_module(model).eval(), x) / self._samples

    def charge_step(self, samples: int) -> None:
        """One training step on a batch of so many samples."""
        self.samples += samples
        self.host += samples * self.step_flops

    def charge_evaluation(self, samples: int) -> None:
        """One pass of the present model over so many held-out samples."""
        self.evaluation += samples * self.forward_flops

    def account(self) -> CostAccount:
        """The account so far, against the static model over the same samples."""
        return CostAccount(
            host=self.host,
            shadow=self.shadow,
            evaluation=self.evaluation,
            static=self.samples * self.static_step_flops,
        )

    def state_dict(self) -> dict[str, float]:
        """The counters."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from saved counters."""
        for name, value in state.items():
            setattr(self, name, value)
