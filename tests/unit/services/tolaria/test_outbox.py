"""What a run leaves for a library."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from esper.blueprints.build import build
from esper.blueprints.library.catalog import candidate
from esper.contracts.enums import KernelMode
from esper.contracts.growth import CostAccount, GrowthReport
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.services.tolaria.outbox import deliver, fill
from support.memory_library import MemoryLibrary

REPORT = GrowthReport(
    steps=1,
    total_steps=1,
    curve=(),
    races=(),
    decisions=(),
    cost=CostAccount(host=1.0, shadow=0.0, evaluation=0.0, static=1.0),
    parameters_before=1,
    parameters_after=1,
    before=(),
    after=(),
    summary="",
)


@pytest.fixture
def grown() -> MorphableModel:
    net = nn.Sequential(nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 2))
    model = wrap(net, example_input=torch.randn(4, 40))
    geometry = model.kasmina_layers["0"].geometry
    assert geometry is not None
    chosen = candidate(geometry, "glu", "small", KernelMode.REPLACING)
    kernel = build(chosen.ir, seed=0)
    model.install_kernel("0", 0, kernel, mode=chosen.mode, ir=chosen.ir, label=chosen.label)
    model.set_seed_alpha("0", 0, 1.0)
    model.fossilize("0", 0)
    return model


def test_a_kernel_is_left_only_where_it_is_to_be_passed_on(
    grown: MorphableModel, tmp_path: Path
) -> None:
    fill(tmp_path, grown, REPORT, run_id="run-1", deposit=False, tags={})
    assert list(tmp_path.iterdir()) == []
    fill(tmp_path, grown, REPORT, run_id="run-1", deposit=True, tags={"task": "signals"})
    fill(
        tmp_path, grown, REPORT, run_id="run-1", deposit=True, tags={"task": "signals"}
    )  # after a crash, say
    library = MemoryLibrary()
    assert deliver(tmp_path, library).kernels == 1
    (record,) = library.records.values()
    assert (record.metadata.blueprint, record.tags["task"]) == ("glu/small", "signals")


def test_a_kernel_that_has_diverged_is_not_passed_on_and_the_run_ends_all_the_same(
    grown: MorphableModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kernel = grown.kasmina_layers["0"].seed(0).kernel
    assert kernel is not None
    nn.init.constant_(next(kernel.parameters()), float("nan"))
    fill(tmp_path, grown, REPORT, run_id="run-1", deposit=True, tags={})
    assert "not deposited" in caplog.text
    assert deliver(tmp_path, MemoryLibrary()).kernels == 0
