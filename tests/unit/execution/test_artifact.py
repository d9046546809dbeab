"""Kernel files: what is packed comes back, and what is not a kernel is refused for good."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from esper.blueprints.build import build
from esper.blueprints.ir import Limits
from esper.contracts.enums import KernelMode
from esper.contracts.errors import ArtifactError, KernelMismatchError
from esper.execution.artifact import ArtifactLimits, kernel_id_of, pack, read_kernel_file, unpack
from kernels import GRAPHS, join, kernel_file, mlp_graph, split, with_document

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


def test_wrong_digest_is_refused() -> None:
    with pytest.raises(ArtifactError, match="SHA-256"):
        unpack(kernel_file(), expected_id="0" * 64)


def edit_header(change: Any) -> bytes:
    header, body = split(kernel_file())
    change(header)
    return join(header, body)


def swap_offsets(header: dict[str, Any]) -> None:
    header["up.bias"]["data_offsets"] = header["down.bias"]["data_offsets"]
    header["up.bias"]["shape"] = header["down.bias"]["shape"]


def text_of_header() -> str:
    return json.dumps(split(kernel_file())[0])


BODY = split(kernel_file())[1]
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "0 bytes"),
    "length bomb": ((2**63).to_bytes(8, "little") + b"{}", "claims"),
    "length past the end": ((2**16).to_bytes(8, "little") + b"{}", "ends before"),
    "unaligned header": ((3).to_bytes(8, "little") + b"{} " + BODY, "multiple"),
    "leading space": (join(" " + text_of_header(), BODY), "start with"),
    "deep JSON": (join("{" + '"a":[' * 100_000, b""), "nested"),
    "duplicate tensor": (
        join(text_of_header().replace('"up.bias"', '"down.bias"'), BODY),
        "twice",
    ),
    "duplicate inner key": (
        join(text_of_header().replace('"dtype"', '"shape": [1], "dtype"', 1), BODY),
        "twice",
    ),
    "NaN": (join(text_of_header().replace("[4, 3]", "[NaN, 3]"), BODY), "NaN"),
    "not UTF-8": (join(b'{"\xff": 1}', BODY), "UTF-8"),
    "trailing bytes": (kernel_file() + b"\0" * 8, "follow the header"),
    "truncated": (kernel_file()[:-4], "follow the header"),
    "overlap": (edit_header(swap_offsets), "overlaps"),
    "unknown field": (edit_header(lambda h: h["up.bias"].update(more=1)), "exactly"),
    "forbidden dtype": (edit_header(lambda h: h["up.bias"].update(dtype="F64")), "F64"),
    "boolean axis": (edit_header(lambda h: h["up.bias"].update(shape=[True])), "integers"),
    "huge shape": (edit_header(lambda h: h["up.bias"].update(shape=[2**62] * 8)), "needs"),
    "empty axis": (edit_header(lambda h: h["up.bias"].update(shape=[0])), "at least 1"),
    "more metadata": (edit_header(lambda h: h["__metadata__"].update(pickle="x")), "one entry"),
    "no metadata": (edit_header(lambda h: h.pop("__metadata__")), "__metadata__"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_container_is_refused_with_its_reason(name: str) -> None:
    data, reason = HOSTILE[name]
    with pytest.raises(ArtifactError, match=reason):
        unpack(data)


def node(document: dict[str, Any], index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = document["ir"]["nodes"][index]
    return found


LIES: dict[str, tuple[Any, str]] = {
    "unknown op": (lambda d: node(d).update(op="eval"), "unknown op"),
    "unknown attribute": (lambda d: node(d)["attrs"].update(hook=1), "hook"),
    "wider layer": (lambda d: node(d)["attrs"].update(out_features=2**31 - 1), "limit|shape"),
    "name outside the alphabet": (lambda d: node(d).update(name="__class__"), "name"),
    "unknown field in the graph": (lambda d: d["ir"].update(code=""), "code"),
    "unknown field in the manifest": (lambda d: d["manifest"].update(code=""), "code"),
    "unknown field beside them": (lambda d: d.update(code=""), "exactly"),
    "other input name": (lambda d: d["ir"]["inputs"].update(z=d["ir"]["inputs"].pop("x")), "'x'"),
    "parameters": (lambda d: d["manifest"].update(parameters=1), "parameters"),
    "flops": (lambda d: d["manifest"].update(flops=1), "flops"),
    "input shape": (lambda d: d["manifest"].update(input_shape=[5]), "input_shape"),
    "output shape": (lambda d: d["manifest"].update(output_shape=[5]), "output_shape"),
    "mode": (lambda d: d["manifest"].update(mode="both"), "mode"),
    "dtype": (lambda d: d["manifest"].update(dtype="float64"), "float64"),
    "other dtype than the tensors": (lambda d: d["manifest"].update(dtype="float16"), "float32"),
    "own digest": (lambda d: d["manifest"].update(kernel_id="0" * 64), "digest"),
    "number as text": (lambda d: d["manifest"].update(parameters="31"), "parameters"),
    "deep manifest": (lambda d: d["manifest"].update(notes=[[[[[[[[[]]]]]]]]]), "nested"),
}


@pytest.mark.parametrize("name", LIES)
def test_manifest_or_graph_that_lies_is_refused(name: str) -> None:
    change, reason = LIES[name]
    with pytest.raises(ArtifactError, match=reason):
        unpack(with_document(kernel_file(), change))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_non_finite_weight_in_a_file_is_refused(value: float) -> None:
    data = bytearray(kernel_file())
    data[-4:] = torch.tensor([value]).numpy().tobytes()
    with pytest.raises(ArtifactError, match="NaN or an infinity"):
        unpack(bytes(data))


@pytest.mark.parametrize(
    "limits",
    [
        ArtifactLimits(file_bytes=100),
        ArtifactLimits(header_bytes=100),
        ArtifactLimits(flops=10),
        ArtifactLimits(graph=Limits(parameters=10)),
        ArtifactLimits(graph=Limits(depth=2)),
        ArtifactLimits(graph=Limits(nodes=2)),
    ],
)
def test_each_limit_holds(limits: ArtifactLimits) -> None:
    with pytest.raises(ArtifactError, match="limit"):
        unpack(kernel_file(), limits=limits)


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


def test_hostile_input_costs_little_time_and_memory() -> None:
    tracemalloc.start()
    started = time.monotonic()
    for data, _ in HOSTILE.values():
        with pytest.raises(ArtifactError):
            unpack(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - started < 10
    assert peak < 2**25


def test_pickle_is_not_a_kernel(tmp_path: Path) -> None:
    path = tmp_path / "kernel.pt"
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(ArtifactError):
        read_kernel_file(path)


def test_moving_to_the_same_device_copies_nothing() -> None:
    artifact = unpack(kernel_file())
    assert artifact.to("cpu") is artifact
    assert artifact.nbytes == 4 * artifact.metadata.parameters
