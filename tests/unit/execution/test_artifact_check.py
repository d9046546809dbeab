"""What is not a kernel is refused for good, with its reason, before anything of it is loaded."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest
import torch

from esper.blueprints.ir import Limits
from esper.contracts.errors import ArtifactError
from esper.execution.artifact_check import ArtifactLimits, check_file
from kernels import join, kernel_file, split, with_document


def test_wrong_digest_is_refused() -> None:
    with pytest.raises(ArtifactError, match="SHA-256"):
        check_file(kernel_file(), expected_id="0" * 64)


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
        check_file(data)


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
        check_file(with_document(kernel_file(), change))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_non_finite_weight_in_a_file_is_refused(value: float) -> None:
    data = bytearray(kernel_file())
    data[-4:] = torch.tensor([value]).numpy().tobytes()
    with pytest.raises(ArtifactError, match="NaN or an infinity"):
        check_file(bytes(data))


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
        check_file(kernel_file(), limits=limits)


def test_hostile_input_costs_little_time_and_memory() -> None:
    tracemalloc.start()
    started = time.thread_time()
    for data, _ in HOSTILE.values():
        with pytest.raises(ArtifactError):
            check_file(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.thread_time() - started < 10
    assert peak < 2**25


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_one_non_finite_value_is_found_among_many_of_any_dtype(
    dtype: torch.dtype, value: float
) -> None:
    data = bytearray(kernel_file(dtype=dtype))
    assert check_file(bytes(data)).metadata.dtype == str(dtype).removeprefix("torch.")
    data[-dtype.itemsize :] = bytearray(torch.tensor([value], dtype=dtype).view(torch.uint8))
    with pytest.raises(ArtifactError, match="NaN or an infinity"):
        check_file(bytes(data))


def test_the_largest_finite_values_are_taken() -> None:
    data = bytearray(kernel_file())
    data[-4:] = bytearray(torch.tensor([torch.finfo(torch.float32).max]).view(torch.uint8))
    assert check_file(bytes(data)).values
