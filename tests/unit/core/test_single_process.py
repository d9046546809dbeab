"""With more than one process nothing grows: whatever would is refused, and says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import distributed, nn
from torch.nn import functional as F
from torch.testing._internal.distributed.fake_pg import FakeStore

from esper.contracts.errors import ConfigError
from esper.core.model_wrapper import wrap
from esper.core.single_process import check_single_process
from esper.orchestration.orchestrator import SeedOrchestrator

REFUSAL = r"one process only, and torch\.distributed runs with 2: .* Train in one process"


@contextmanager
def a_group_of(processes: int) -> Iterator[None]:
    """torch's own process group without peers: this process is the first rank."""
    distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=processes)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))


def test_two_processes_cannot_wrap_a_model() -> None:
    with a_group_of(2), pytest.raises(ConfigError, match=f"esper.wrap works in {REFUSAL}"):
        wrap(net())


def test_two_processes_cannot_grow_what_was_wrapped_before_they_met() -> None:
    model = wrap(net())
    optimizer = torch.optim.AdamW(model.parameters())
    data = [(torch.randn(40, 4), torch.zeros(40, dtype=torch.long))]
    with a_group_of(2):
        with pytest.raises(ConfigError, match=f"SeedOrchestrator works in {REFUSAL}"):
            SeedOrchestrator(
                model, optimizer, loss_fn=F.cross_entropy, growth_data=data, total_steps=9
            )
        with pytest.raises(ConfigError, match=f"A model that grows works in {REFUSAL}"):
            model.install_kernel("0", 0, nn.Linear(4, 4), mode="residual")
    assert not model.morphogenetic_active


@pytest.mark.parametrize("processes", [None, 1])
def test_one_process_grows_with_or_without_a_group(processes: int | None) -> None:
    if processes is None:
        check_single_process("growing")
        return
    with a_group_of(processes):
        wrap(net()).install_kernel("0", 0, nn.Linear(4, 4), mode="residual")
