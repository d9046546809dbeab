"""Who runs guarded, and what an isolated seed leaves behind."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from esper.contracts.enums import KernelMode
from esper.contracts.lifecycle import SeedPhase
from esper.core.kernel_guard import Isolations, guard
from esper.core.model_wrapper import wrap
from esper.execution.kasmina_layer import KasminaLayer


class Breaking(nn.Module):
    """Works while it is tried, and never again."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            raise RuntimeError("broken")
        return x * self.scale


def layer() -> KasminaLayer:
    return wrap(nn.Sequential(nn.Linear(3, 3))).layer("0")


def test_a_seed_that_strikes_out_is_isolated_and_noted_once() -> None:
    guarded, isolations = layer(), Isolations()
    guarded.install(0, Breaking(), mode=KernelMode.RESIDUAL)
    guarded.set_alpha(0, 1.0)
    guard(guarded, isolations)
    x = torch.ones(2, 3)
    for strikes in (1, 2, 3):
        guarded.host(x)
        assert guarded.seed(0).strikes == strikes
    guarded.host(x)
    assert guarded.seed(0).phase is SeedPhase.ERROR_RECOVERY
    ((name, failure),) = isolations
    assert (name, failure.seed_index, failure.strikes) == ("0", 0, 3)
    assert "broken" in failure.message


def test_a_layer_whose_host_is_gone_runs_unguarded() -> None:
    guarded = layer()
    kernel = nn.Sequential(nn.Linear(3, 3), nn.Tanh())  # no algebra folds it into the host
    guarded.install(0, kernel, mode=KernelMode.REPLACING)
    guard(guarded, Isolations())
    executor = guarded.executor
    assert executor is not None
    guard(guarded, Isolations())
    assert guarded.executor is executor
    guarded.set_alpha(0, 1.0)
    guarded.fossilize(0)
    guard(guarded, Isolations())
    assert guarded.host_dropped
    assert guarded.executor is None
