"""Every kind of model goes the whole way: wrap, train, grow, checkpoint, restore, export, copy."""

from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from esper.blueprints.build import build
from esper.contracts.enums import KernelMode
from esper.core import checkpoint
from esper.core.export import export
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from support.grown_models import CASES, Case, first_tensor, kernel_graph, loss_of

EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
# torch's own: every model with an nn.LSTM or nn.GRU in it makes torch.export say this.
pytestmark = pytest.mark.filterwarnings("ignore:The tensor attributes .*_flat_weights")


class Run:
    """A wrapped model with an optimizer and one batch."""

    def __init__(self, case: Case, net: nn.Module, inputs: dict[str, Tensor]) -> None:
        self.case, self.inputs = case, inputs
        self.model: MorphableModel = wrap(
            net,
            list(case.targets),
            example_input=inputs,
            filter_fn=lambda module, name: name == case.layer.removesuffix("+"),
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        self.model.attach_optimizer(self.optimizer)

    @classmethod
    def of(cls, case: Case) -> Run:
        return cls(case, case.make(), case.inputs())

    def step(self) -> None:
        self.model.train()
        loss_of(self.model(**self.inputs)).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def grow(self, alpha: float, mode: KernelMode | None = None) -> None:
        mode = self.case.modes[0] if mode is None else mode
        geometry = self.model.layer(self.case.layer).geometry
        assert geometry is not None
        graph = kernel_graph(geometry)
        self.model.install_kernel(self.case.layer, 0, build(graph, seed=1), mode=mode, ir=graph)
        self.model.set_seed_alpha(self.case.layer, 0, alpha)

    def output(self, model: nn.Module | None = None) -> Tensor:
        model = self.model if model is None else model
        with torch.no_grad():
            return first_tensor(model.eval()(**self.inputs))


def of_esper(model: nn.Module) -> list[str]:
    kinds = {type(part) for part in model.modules()}
    return [kind.__name__ for kind in kinds if kind.__module__.startswith("esper")]


def unpickled(model: nn.Module) -> Any:
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


@EVERY
def test_wrapping_changes_no_output_gradient_or_name(case: Case) -> None:
    net, inputs = case.make(), case.inputs()
    model = wrap(net, list(case.targets), example_input=inputs)
    assert list(model.state_dict()) == list(net.state_dict())
    outputs = [first_tensor(m(**inputs)) for m in (net, model)]
    assert torch.equal(*outputs)
    for output in outputs:
        loss_of(output).backward()
    for (name, plain), (same, wrapped) in zip(
        net.named_parameters(), model.named_parameters(), strict=True
    ):
        assert name == same
        assert (plain.grad is None) == (wrapped.grad is None)
        assert plain.grad is None or torch.equal(plain.grad, wrapped.grad)


@EVERY
def test_a_grafting_kernel_trains_and_every_copy_computes_the_same(case: Case) -> None:
    run = Run.of(case)
    run.step()
    plain = run.output()
    run.grow(0.4)
    before = {n: p.detach().clone() for n, p in run.model.named_parameters()}
    for _ in range(2):
        run.step()
    after = dict(run.model.named_parameters())
    moved = [n for n in after if "esper_" in n and not torch.equal(before[n], after[n])]
    assert moved
    grown = run.output()
    assert not torch.allclose(plain, grown)
    for twin in (copy.deepcopy(run.model), pickle.loads(pickle.dumps(run.model))):
        assert torch.equal(grown, run.output(twin))
        assert list(twin.state_dict()) == list(run.model.state_dict())


@EVERY
def test_an_export_computes_the_same_and_holds_nothing_of_esper(case: Case) -> None:
    run = Run.of(case)
    run.grow(0.4)
    run.step()
    grown = run.output()
    plain = export(run.model)
    assert not of_esper(plain)
    for twin in (plain, copy.deepcopy(plain), unpickled(plain)):
        assert torch.equal(grown, run.output(twin))
    program = torch.export.export(plain.eval(), (), run.inputs)
    assert torch.allclose(grown, first_tensor(program.module()(**run.inputs)), atol=1e-5)


@pytest.mark.parametrize(
    ("case", "mode"),
    [
        pytest.param(case, mode, id=f"{name}-{mode}")
        for name, case in CASES.items()
        for mode in case.modes
        if mode is KernelMode.REPLACING or name not in {"BERT", "LLaMA", "ViT", "T5"}
    ],
)
def test_a_fossil_survives_export_and_an_exported_model_trains(
    case: Case, mode: KernelMode
) -> None:
    run = Run.of(case)
    run.grow(1.0, mode)
    run.step()
    run.model.fossilize(case.layer, 0)
    run.step()
    grown = run.output()
    plain = export(run.model)
    assert not of_esper(plain)
    assert torch.equal(grown, run.output(plain))
    loss_of(plain.train()(**run.inputs)).backward()
    assert torch.equal(grown, run.output(run.model))
    assert any(p.grad is not None for n, p in plain.named_parameters() if "kernel_0" in n)


@pytest.mark.parametrize(
    ("case", "stage"),
    [
        pytest.param(case, stage, id=f"{name}-{stage}")
        for name, case in CASES.items()
        for stage in ("dormant", "training", "grafting", "fossil")
        if stage in {"grafting", "fossil"} or name in {"MLP", "ResNet", "GPT-2"}
    ],
)
def test_a_resumed_run_goes_on_bit_for_bit(case: Case, stage: str, tmp_path: Path) -> None:
    net, inputs = case.make(), case.inputs()
    run = Run(case, net, inputs)
    run.step()
    if stage != "dormant":
        run.grow({"training": 0.0, "grafting": 0.3, "fossil": 1.0}[stage])
    run.step()
    if stage == "fossil":
        run.model.fossilize(case.layer, 0)
    run.step()
    checkpoint.save(tmp_path / "run.pt", model=run.model, optimizer=run.optimizer)
    for _ in range(2):
        run.step()
    resumed = Run(case, net, inputs)
    state = checkpoint.load(tmp_path / "run.pt")
    checkpoint.restore(state, model=resumed.model, optimizer=resumed.optimizer)
    for _ in range(2):
        resumed.step()
    for (name, there), (same, here) in zip(
        run.model.named_parameters(), resumed.model.named_parameters(), strict=True
    ):
        assert name == same
        assert torch.equal(there, here), name
    for (_, there), (_, here) in zip(
        run.model.named_buffers(), resumed.model.named_buffers(), strict=True
    ):
        assert torch.equal(there, here)


@EVERY
def test_a_culled_kernel_leaves_no_trace(case: Case) -> None:
    run = Run.of(case)
    run.step()
    plain, names = run.output(), list(run.model.state_dict())
    held = {id(p) for group in run.optimizer.param_groups for p in group["params"]}
    run.grow(0.7)
    assert not torch.allclose(plain, run.output())
    run.model.unload_kernel_sync(case.layer, 0)
    assert torch.equal(plain, run.output())
    assert list(run.model.state_dict()) == names
    assert {id(p) for group in run.optimizer.param_groups for p in group["params"]} == held
    assert len(run.optimizer.state) == len(held)
