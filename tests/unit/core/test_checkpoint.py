"""A checkpoint is one file, whole or not there, that brings a grown run back."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from esper.blueprints.build import build
from esper.blueprints.builder import GraphBuilder
from esper.contracts.enums import KernelMode
from esper.contracts.errors import CheckpointError, OptimizerError
from esper.contracts.lifecycle import SeedPhase
from esper.core import checkpoint
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel


def make_model(width: int = 8) -> MorphableModel:
    torch.manual_seed(5)
    net = nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 6))
    return wrap(net, example_input=torch.zeros(2, 6))


def grow(model: MorphableModel, slot: int = 0, alpha: float = 0.3, *, linear: bool = False) -> None:
    builder = GraphBuilder((6,))
    inner = "x" if linear else builder.add("gelu", builder.add("linear", "x", out_features=3))
    ir = builder.finish(builder.add("linear", inner, out_features=8))
    kernel = build(ir, seed=slot)
    model.install_kernel("0", slot, kernel, mode=KernelMode.REPLACING, ir=ir, label="test")
    model.set_seed_alpha("0", slot, alpha)


def train(model: MorphableModel, optimizer: torch.optim.Optimizer, steps: int = 2) -> None:
    for _ in range(steps):
        model(torch.randn(4, 6)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert list(left) == list(right)
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("later", ["cull", "fossil", "folded fossil", "more", "nothing"])
def test_a_run_returns_to_a_captured_state_whatever_it_has_become(later: str) -> None:
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model.attach_optimizer(optimizer)
    grow(model, alpha=1.0, linear=later == "folded fossil")
    train(model, optimizer)
    state = checkpoint.capture(model=model, optimizer=optimizer)
    saved = values(model)
    train(model, optimizer)
    expected = values(model)

    if later == "cull":
        model.cull("0", 0)
    elif later.endswith("fossil"):
        model.fossilize("0", 0)
    elif later == "more":
        grow(model, slot=1)
    train(model, optimizer)
    checkpoint.restore(state, model=model, optimizer=optimizer)
    assert_equal(values(model), saved)
    assert model.layer("0").seed(0).phase is SeedPhase.GRAFTING
    assert not model.layer("0").host_dropped
    inside = [p for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in inside} == {id(p) for p in model.parameters()}
    train(model, optimizer)
    assert_equal(values(model), expected)


@pytest.mark.parametrize("grown", [False, True])
def test_a_frozen_kernel_comes_back_frozen_with_its_optimizer_state(
    grown: bool, tmp_path: Path
) -> None:
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model.attach_optimizer(optimizer)
    grow(model)
    train(model, optimizer)
    model.freeze("0", 0)
    checkpoint.save(tmp_path / "c.pt", model=model, optimizer=optimizer)
    train(model, optimizer)

    twin = make_model()
    other = torch.optim.AdamW(twin.parameters(), lr=0.01)
    twin.attach_optimizer(other)
    if grown:
        grow(twin)
    checkpoint.restore(checkpoint.load(tmp_path / "c.pt"), model=twin, optimizer=other)
    kernel = twin.layer("0").seed(0).kernel
    assert kernel is not None
    assert twin.layer("0").seed(0).frozen
    assert not any(p.requires_grad for p in kernel.parameters())
    assert all(other.state[p]["step"] == 2 for p in kernel.parameters())
    before = values(kernel)
    torch.manual_seed(0)
    train(twin, other)
    assert_equal(values(kernel), before)


def test_a_kernel_trains_again_after_a_return_to_before_it_was_frozen() -> None:
    model = make_model()
    grow(model)
    state = checkpoint.capture(model=model)
    model.freeze("0", 0)
    checkpoint.restore(state, model=model)
    assert all(p.requires_grad for p in model.parameters())
    assert not model.layer("0").seed(0).frozen


def test_every_random_generator_goes_on_where_it_was(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "c.pt", model=make_model())
    drawn = (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: NPY002  # the global one
    checkpoint.restore(checkpoint.load(tmp_path / "c.pt"), model=make_model())
    assert drawn == (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: NPY002  # likewise


def test_manifest_alphas_strikes_and_embargoes_return(tmp_path: Path) -> None:
    model = make_model()
    grow(model, 0, 0.1234567890123)
    grow(model, 2, 0.5)
    model.layer("0").isolate(2)
    grow(model, 3)
    model.cull("0", 3, embargo_until=77)
    model.layer("0").seed(0).strikes = 2
    checkpoint.save(tmp_path / "c.pt", model=model)
    twin = make_model()
    checkpoint.restore(checkpoint.load(tmp_path / "c.pt"), model=twin)
    assert twin.get_layer_stats("0")["seeds"] == model.get_layer_stats("0")["seeds"]
    assert twin.layer("0").seed(0).alpha == 0.1234567890123
    assert twin.layer("0").seed(3).embargo_until == 77
    x = torch.randn(3, 6)
    assert torch.equal(model(x), twin(x))


def test_scheduler_orchestrator_and_extra_return(tmp_path: Path) -> None:
    class Counter:
        def __init__(self, count: int) -> None:
            self.count = count

        def state_dict(self) -> dict[str, Any]:
            return {"count": self.count, "tensor": torch.ones(2)}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.count = state["count"]

    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4])
    train(model, optimizer)
    scheduler.step()
    scheduler.step()
    path = tmp_path / "c.pt"
    checkpoint.save(
        path,
        model=model,
        optimizer=optimizer,
        scheduler=scheduler,
        orchestrator=Counter(3),
        extra={"step": 9, "names": ["a"]},
    )
    state = checkpoint.load(path)
    twin, counter = make_model(), Counter(0)
    other = torch.optim.SGD(twin.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.MultiStepLR(other, [2, 4])
    checkpoint.restore(state, model=twin, optimizer=other, scheduler=schedule, orchestrator=counter)
    assert state.extra == {"step": 9, "names": ["a"]}
    assert counter.count == 3
    assert schedule.state_dict() == scheduler.state_dict()
    assert other.param_groups[0]["lr"] == pytest.approx(0.01)


def test_a_wrong_model_is_refused_by_layer_and_weight_and_left_unchanged() -> None:
    model = make_model()
    grow(model)
    state = checkpoint.capture(model=model)
    fewer = wrap(model.original_model, ["2"], example_input=torch.zeros(2, 6))  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=r"layers missing here \['0'\], unexpected here none"):
        checkpoint.restore(state, model=fewer)
    wider = make_model(width=9)
    before = values(wider)
    with pytest.raises((CheckpointError, ValueError), match=r"8"):
        checkpoint.restore(state, model=wider)
    assert_equal(values(wider), before)
    assert not wider.morphogenetic_active
    plain = checkpoint.capture(model=make_model(width=9))
    with pytest.raises(CheckpointError, match=r"0\.weight: \(9, 6\) there, \(8, 6\) here"):
        checkpoint.restore(plain, model=make_model())
    slots = wrap(model.original_model, seeds_per_layer=2)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=r"with 4 seeds there, and Linear with 2 here"):
        checkpoint.restore(state, model=slots)


def test_another_optimizer_is_refused_and_the_model_left_unchanged() -> None:
    model = make_model()
    grow(model)
    state = checkpoint.capture(model=model, optimizer=torch.optim.Adam(model.parameters()))
    twin = make_model()
    with pytest.raises(OptimizerError, match=r"is of Adam, this optimizer is SGD"):
        checkpoint.restore(state, model=twin, optimizer=torch.optim.SGD(twin.parameters(), lr=0.1))
    assert not twin.morphogenetic_active


def test_what_cannot_be_loaded_again_is_refused_when_saving(tmp_path: Path) -> None:
    model = make_model()
    with pytest.raises(CheckpointError, match=r"extra\['made'\] is a pathlib\.\w+"):
        checkpoint.save(tmp_path / "c.pt", model=model, extra={"made": tmp_path})
    with pytest.raises(CheckpointError, match=r"extra\['n'\]\[0\] is a numpy.float64"):
        checkpoint.save(tmp_path / "c.pt", model=model, extra={"n": [np.float64(1)]})
    model.install_kernel("0", 0, nn.Linear(6, 8), mode=KernelMode.REPLACING)
    with pytest.raises(
        CheckpointError, match=r"seed 0 of layer '0' was installed without its graph"
    ):
        checkpoint.save(tmp_path / "c.pt", model=model)
    assert not list(tmp_path.iterdir())


def test_missing_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no checkpoint"):
        checkpoint.load(tmp_path / "none.pt")
    path = tmp_path / "c.pt"
    checkpoint.save(path, model=make_model())
    data = path.read_bytes()
    for broken in (data[: len(data) // 2], b"", b"hello", data[:100] + b"\0" * 100):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match=r"damaged"):
            checkpoint.load(path)
    torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(CheckpointError, match=r"not a checkpoint of Esper"):
        checkpoint.load(path)


class Foreign:
    """What a checkpoint never holds."""


def test_a_file_that_would_run_code_is_refused_without_torch_s_advice(tmp_path: Path) -> None:
    torch.save({"format": checkpoint.FORMAT, "extra": Foreign()}, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="other things than tensors") as caught:
        checkpoint.load(tmp_path / "c.pt")
    told = "".join(traceback.format_exception(caught.value))
    assert "weights_only=False" not in told


def test_a_changed_bit_is_found_wherever_it_counts(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    checkpoint.save(path, model=make_model(), extra={"n": 1})
    whole, data = checkpoint.load(path), path.read_bytes()
    for place in range(3, len(data), 211):
        path.write_bytes(data[:place] + bytes([data[place] ^ 8]) + data[place + 1 :])
        try:
            read = checkpoint.load(path)
        except CheckpointError:
            continue
        # Between the parts of an archive there are bytes that mean nothing.
        assert read.extra == {"n": 1}
        assert all(torch.equal(read.model[name], w) for name, w in whole.model.items())


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    torch.save({"format": checkpoint.FORMAT, "schema": 1, "manifest": "{}"}, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match=r"a part is missing .*'model'"):
        checkpoint.load(tmp_path / "c.pt")


def test_a_pipe_is_no_checkpoint_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="no regular file"):
        checkpoint.load(tmp_path / "c.pt")


FULL = """
import resource, sys, torch
from torch import nn
from esper.contracts.errors import CheckpointError
from esper.core import checkpoint
from esper.core.model_wrapper import wrap
path = sys.argv[1]
checkpoint.save(path, model=wrap(nn.Linear(4, 4)), extra={"n": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    checkpoint.save(path, model=wrap(nn.Linear(400, 400)), extra={"n": 2})
except CheckpointError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_previous_file_and_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True
    )
    assert "could not be written" in done.stdout
    assert "Make room or choose another folder" in done.stdout
    assert checkpoint.load(path).extra == {"n": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["c.pt"]
