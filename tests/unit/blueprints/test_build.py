from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from esper.blueprints.build import build
from esper.blueprints.builder import GraphBuilder
from esper.blueprints.ir import GraphIR, Node
from esper.blueprints.tensor_spec import TensorSpec
from esper.contracts.errors import BlueprintError


def kernel_graph() -> GraphIR:
    g = GraphBuilder((20,))
    wide = g.add("conv1d", g.add("unflatten", "x", sizes=(2, 10)), out_channels=4, kernel_size=3)
    scaled = g.add("scale", g.add("relu", g.add("batch_norm1d", wide)), axis=0)
    return g.finish(g.add("linear", g.add("flatten", scaled), out_features=5))


def attention_graph() -> GraphIR:
    g = GraphBuilder((None, 8))
    parts = [
        g.add(
            "permute",
            g.add("unflatten", g.add("linear", "x", out_features=8), sizes=(2, 4)),
            order=(1, 0, 2),
        )
        for _ in range(3)
    ]
    mixed = g.add("permute", g.add("attention", *parts, causal=True), order=(1, 0, 2))
    return g.finish(g.add("flatten", mixed, first=1))


def test_a_seed_fixes_the_weights_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second = build(kernel_graph(), seed=7), build(kernel_graph(), seed=7)
    assert torch.equal(before, torch.get_rng_state())
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(first.linear.weight, build(kernel_graph(), seed=8).linear.weight)


def test_without_a_seed_weights_come_from_the_global_generator() -> None:
    torch.manual_seed(3)
    first = build(kernel_graph())
    torch.manual_seed(3)
    assert torch.equal(first.linear.weight, build(kernel_graph()).linear.weight)


@pytest.mark.parametrize("graph", [kernel_graph(), attention_graph()])
def test_a_kernel_runs_where_this_package_is_not_installed(graph: GraphIR, tmp_path: Path) -> None:
    kernel = build(graph, seed=0).eval()
    x = torch.randn(3, *(size or 6 for size in graph.input_spec.shape))
    torch.save((kernel, x, kernel(x)), tmp_path / "kernel.pt")
    script = (
        "import sys, torch; sys.modules['esper'] = None\n"
        "kernel, x, y = torch.load(sys.argv[1], weights_only=False)\n"
        "assert torch.equal(kernel(x), y)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "kernel.pt")], check=True)


@pytest.mark.parametrize("graph", [kernel_graph(), attention_graph()])
def test_a_kernel_exports_with_an_open_batch_axis(graph: GraphIR) -> None:
    kernel = build(graph, seed=0).eval()
    shape = tuple(size or 6 for size in graph.input_spec.shape)
    exported = torch.export.export(
        kernel,
        (torch.randn(4, *shape),),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    x = torch.randn(7, *shape)
    assert torch.allclose(exported.module()(x), kernel(x), atol=1e-6)


def test_a_kernel_pickles_copies_and_changes_mode() -> None:
    kernel = build(kernel_graph(), seed=0)
    x = torch.randn(4, 20)
    twin = copy.deepcopy(kernel)
    assert torch.equal(twin(x), kernel(x))
    stored = pickle.loads(pickle.dumps(kernel.eval()))
    assert torch.equal(stored(x), kernel(x))
    assert not kernel.batch_norm1d.training
    assert kernel.train().batch_norm1d.training


def test_everything_in_a_kernel_is_a_stock_torch_module() -> None:
    for module in build(kernel_graph()).modules():
        assert type(module).__module__.startswith("torch.")
        assert isinstance(module, nn.Module)


def test_several_outputs_come_as_a_dictionary() -> None:
    nodes = (Node("a", "relu", ("x",)), Node("b", "tanh", ("x",)))
    graph = GraphIR({"x": TensorSpec((2,))}, nodes, {"y": "a", "z": "b"})
    out = build(graph)(torch.tensor([[-1.0, 1.0]]))
    assert set(out) == {"y", "z"}
    assert out["y"].tolist() == [[0.0, 1.0]]


def test_too_many_parameters_are_refused_before_anything_is_built() -> None:
    big = GraphIR(
        {"x": TensorSpec((2**20,))},
        (Node("a", "linear", ("x",), {"out_features": 2**20}),),
        {"y": "a"},
    )
    with pytest.raises(BlueprintError, match="more than the limit"):
        build(big)


def test_a_name_that_another_library_gave_to_torchs_modules_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    g = GraphBuilder((4,))
    graph = g.finish(g.add("linear", "x", name="as_quantised", out_features=4))
    build(graph, seed=0)
    monkeypatch.setattr(nn.Module, "as_quantised", print, raising=False)
    with pytest.raises(BlueprintError, match="'as_quantised' is taken: a library of this process"):
        build(graph, seed=0)
