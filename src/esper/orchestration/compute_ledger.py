"""The cost account: every FLOP of a run, measured once per shape of the model and multiplied."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from esper.blueprints.flops import counting
from esper.contracts.growth import CostAccount
from esper.orchestration.counterfactual import LossFn, batch_size, call_model
from esper.orchestration.shadow import copy_module

PROBE_SAMPLES = 16


class Ledger:
    """Counts FLOPs per sample, as `esper.blueprints.flops` does; a multiply-add is two.

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
        """Samples that the model was trained on, each as often as it was."""
        self.given = 0
        """Samples of the batches that steps were told of: what a race may train on."""
        self.host = 0.0
        self.shadow = 0.0
        self.evaluation = 0.0
        self.remeasure(model)
        self.static_step_flops = self.step_flops
        self.static_forward_flops = self.forward_flops

    def remeasure(self, model: nn.Module) -> None:
        """Measure again after the model has changed shape; the measuring is paid for, too."""
        x, y = self._batch
        twin = copy_module(model)
        trained = training_flops(twin, x, y, self._loss_fn)
        asked = forward_flops(twin.eval(), x)
        self.step_flops, self.forward_flops = trained / self._samples, asked / self._samples
        self.evaluation += trained + asked

    def charge_step(self, samples: int, given: int) -> None:
        """One training step on so many samples, of which a batch of ``given`` was shown."""
        self.samples += samples
        self.given += given
        self.host += samples * self.step_flops

    def charge_evaluation(self, samples: int, extra_flops: float = 0.0) -> None:
        """One pass over so many samples of the present model, with something more in it."""
        self.evaluation += samples * (self.forward_flops + extra_flops)

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


def forward_flops(model: nn.Module, x: Any) -> int:
    """FLOPs of one forward pass over the batch ``x``."""
    with counting() as counter, torch.no_grad():
        call_model(model, x)
    return int(counter.get_total_flops())


def training_flops(model: nn.Module, x: Any, y: Any, loss_fn: LossFn) -> int:
    """FLOPs of one forward and backward pass; gradients are added to the model's own."""
    with counting() as counter:
        torch.autograd.backward([loss_fn(call_model(model, x), y)])
    return int(counter.get_total_flops())
