"""Kernel files: what is packed comes back, and what is not a kernel is refused for good."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
import torch
from torch import nn

from esper.blueprints.build import build
from esper.contracts.enums import KernelMode
from esper.contracts.errors import ArtifactError, KernelMismatchError
from esper.execution.artifact import pack, read_kernel_file, unpack
from esper.execution.artifact_check import ArtifactLimits, kernel_id_of
from kernels import GRAPHS, kernel_file, mlp_graph

X = torch.randn(2, 4)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_packed_comes_back(name: str, dtype: torch.dtype) -> None:
    graph = GRAPHS[name]()
    module = build(graph, seed=3).to(dtype)
    data = pack(module, graph, KernelMode.RESIDUAL, blueprint="a name", notes="n")

    artifact = unpack(data)

    assert artifact.ir == graph
    assert artifact.kernel_id == kernel_id_of(data)
    assert artifact.metadata.mode is KernelMode.RESIDUAL
    assert artifact.metadata.blueprint == "a name"
    rebuilt = artifact.build().state_dict()
    for key, value in module.state_dict().items():
        assert torch.equal(rebuilt[key], value)
        assert rebuilt[key].dtype == value.dtype


def test_built_module_computes_what_was_packed_and_leaves_the_random_state() -> None:
    graph = mlp_graph()
    module = build(graph, seed=3)
    artifact = unpack(pack(module, graph, KernelMode.REPLACING, blueprint="b"))
    state = torch.random.get_rng_state()
    assert torch.equal(artifact.build()(X), module(X))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_equal_kernels_have_equal_bytes() -> None:
    assert kernel_file() == kernel_file()
    assert kernel_file(seed=1) != kernel_file(seed=2)


def test_module_of_another_graph_is_not_packed() -> None:
    with pytest.raises(KernelMismatchError, match=r"up\.weight"):
        pack(build(mlp_graph(5)), mlp_graph(), KernelMode.REPLACING, blueprint="b")


def test_float64_module_is_not_packed() -> None:
    with pytest.raises(KernelMismatchError, match=r"float64.*float32"):
        pack(build(mlp_graph()).double(), mlp_graph(), KernelMode.REPLACING, blueprint="b")


def test_non_finite_weight_is_not_packed() -> None:
    module = build(mlp_graph())
    with torch.no_grad():
        next(module.parameters()).view(-1)[0] = torch.nan
    with pytest.raises(ArtifactError, match="NaN"):
        pack(module, mlp_graph(), KernelMode.REPLACING, blueprint="b")


def test_error_names_file_fault_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "kernel.safetensors"
    path.write_bytes(b"no")
    with pytest.raises(ArtifactError) as caught:
        read_kernel_file(path)
    message = str(caught.value)
    assert str(path) in message
    assert "2 bytes" in message
    assert "build it anew" in message


def test_file_larger_than_the_limit_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(2**31)
    tracemalloc.start()
    with pytest.raises(ArtifactError, match="limit"):
        read_kernel_file(path, limits=ArtifactLimits(file_bytes=2**20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


def test_pickle_is_not_a_kernel(tmp_path: Path) -> None:
    path = tmp_path / "kernel.pt"
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(ArtifactError):
        read_kernel_file(path)


def test_moving_to_the_same_device_copies_nothing() -> None:
    artifact = unpack(kernel_file())
    assert artifact.to("cpu") is artifact
    assert artifact.nbytes == 4 * artifact.metadata.parameters
