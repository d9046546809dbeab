"""Kernel files that somebody made to harm: each is refused by whatever reads kernels.

`corpus(canary)` makes them; code that one of them got to run would write the file `canary`.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from esper.execution.artifact_check import ENTRY
from kernels import conv_graph, join, kernel_file, split, with_document

GOOD = kernel_file()


@dataclass(frozen=True)
class Malicious:
    """A file that must be refused."""

    name: str
    data: bytes
    says: str
    """What the refusal says, as a regular expression."""

    def __str__(self) -> str:
        return self.name


class _Payload:
    """Runs code in whoever unpickles it."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (open, (str(self.canary), "w"))


def corpus(canary: Path) -> list[Malicious]:
    """Every file, in a fixed order."""
    return [
        *_that_run_code(canary),
        *_that_swell(),
        *_that_leave_their_place(),
        *_that_say_two_things(),
        *_that_lie_about_their_bytes(),
        *_that_poison(),
    ]


def _that_run_code(canary: Path) -> Iterator[Malicious]:
    payload = pickle.dumps(_Payload(canary))
    saved = io.BytesIO()
    torch.save({"weight": _Payload(canary)}, saved)
    yield Malicious("pickle", payload, "header claims")
    yield Malicious("torch checkpoint with code", saved.getvalue(), "header claims")
    yield Malicious("kernel, then pickle", GOOD + payload, "bytes follow|take")
    header, body = split(GOOD)
    header["code"] = {
        "dtype": "U8", "shape": [len(payload)], "data_offsets": [len(body), len(body) + len(payload)]
    }  # fmt: skip
    yield Malicious("pickle as a tensor", join(header, body + payload), "dtype 'U8'")
    header, body = split(GOOD)
    header["__metadata__"]["pickle"] = payload.hex()
    yield Malicious("pickle in the metadata", join(header, body), "one entry")
    for op in ("os.system", "__import__", "eval", "torch.load", "../linear"):
        yield Malicious(
            f"graph that calls {op}", _graph(lambda ir, op=op: ir["nodes"][0].update(op=op)), "op"
        )
    yield Malicious(
        "graph with code in an attribute",
        _graph(lambda ir: ir["nodes"][0]["attrs"].update(out_features="__import__('os')")),
        "out_features",
    )


def _that_swell() -> Iterator[Malicious]:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.writestr("archive/data.pkl", bytes(64 * 2**20))
    yield Malicious("zip bomb", bomb.getvalue(), "header claims")
    yield Malicious("kernel, then zip bomb", GOOD + bomb.getvalue(), "bytes follow|take")
    yield Malicious("compressed zeros", zlib.compress(bytes(2**26), 9), "header claims")
    for length in (2**21 + 8, 2**40, 2**63, 2**64 - 1):
        yield Malicious(
            f"header that claims {length} bytes", struct.pack("<Q", length) + b"{}", "header claims"
        )
    yield Malicious(
        "header of brackets", join('{"a":' + "[" * 500_000 + "]" * 500_000 + "}", b""), "nested"
    )
    many = {
        f"t{n}": {"dtype": "F32", "shape": [1], "data_offsets": [4 * n, 4 * n + 4]}
        for n in range(10_000)
    }
    header, _ = split(GOOD)
    yield Malicious(
        "header of ten thousand tensors",
        join({"__metadata__": header["__metadata__"], **many}, bytes(40_000)),
        "tensors, more than",
    )
    yield Malicious(
        "number of a million digits", join('{"a": ' + "9" * 1_000_000 + "}", b""), "JSON|fields"
    )
    header, body = split(GOOD)
    header["up.weight"]["shape"] = [2**40, 2**20]
    yield Malicious("tensor of an exabyte", join(header, body), "needs .* bytes")
    for width in (2**31, 2**62):
        yield Malicious(
            f"graph {width} wide",
            _graph(lambda ir, width=width: ir["nodes"][0]["attrs"].update(out_features=width)),
            "Node|limit|tensor|too large|out_features",
        )
    yield Malicious("graph of ten thousand nodes", _graph(_lengthen), "nodes|limit")


def _that_leave_their_place() -> Iterator[Malicious]:
    for name in ("../../../../tmp/evil", "/etc/passwd", "..\\evil", "up.weight\x00", "~/evil"):
        header, body = split(GOOD)
        header[name] = header.pop("up.weight")
        yield Malicious(f"tensor named {name!r}", join(header, body), "tensor")
        yield Malicious(
            f"node named {name!r}",
            _graph(lambda ir, name=name: ir["nodes"][0].update(name=name)),
            "(?i)node|name",
        )
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("../../evil")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"evil"))
    yield Malicious("archive that leaves its folder", out.getvalue(), "header claims")


def _that_say_two_things() -> Iterator[Malicious]:
    header, body = split(GOOD)
    text = json.dumps(header)
    tensor = '"up.weight": '
    entry = json.dumps(header["up.weight"])
    yield Malicious(
        "a tensor given twice",
        join(text.replace(tensor, f"{tensor}{entry}, {tensor}", 1), body),
        "twice|duplicate",
    )
    yield Malicious(
        "metadata given twice",
        join(text.replace('{"__metadata__": ', '{"__metadata__": {}, "__metadata__": ', 1), body),
        "twice|duplicate",
    )
    yield Malicious(
        "a shape given twice",
        join(text.replace('"shape": ', '"shape": [9, 9], "shape": ', 1), body),
        "twice|duplicate",
    )
    document = header["__metadata__"][ENTRY]
    for key in ("manifest", "ir", "mode", "nodes", "op"):
        header, body = split(GOOD)
        header["__metadata__"][ENTRY] = document.replace(f'"{key}":', f'"{key}":0,"{key}":', 1)
        yield Malicious(f"{key} given twice", join(header, body), "twice|duplicate")


def _that_lie_about_their_bytes() -> Iterator[Malicious]:
    yield Malicious("nothing", b"", "0 bytes")
    yield Malicious("half a kernel", GOOD[: len(GOOD) // 2], "follow|ends|header")
    yield Malicious("trailing bytes", GOOD + bytes(8), "follow|take")
    header, body = split(GOOD)
    begin, end = header["up.weight"]["data_offsets"]
    header["up.weight"]["data_offsets"] = [begin + 4, end + 4]
    yield Malicious("overlapping tensors", join(header, body), "overlaps|hole")
    header, body = split(GOOD)
    for name in ("up.weight", "down.weight"):  # of one size
        header[name]["data_offsets"] = [0, 48]
    yield Malicious("two tensors in one place", join(header, body), "overlaps|hole|take")
    header, body = split(GOOD)
    header["up.weight"]["data_offsets"] = [-8, 40]
    yield Malicious("offsets before the file", join(header, body), "data_offsets")
    header, body = split(GOOD)
    header["up.weight"] |= {"shape": [0, 4], "data_offsets": [0, 0]}
    yield Malicious("tensor of no elements", join(header, body), "shape")
    header, body = split(GOOD)
    header["up.weight"]["shape"] = [True, 12]
    yield Malicious("truth as a size", join(header, body), "shape")
    for field, value in {"parameters": 1, "flops": 0, "input_shape": [5], "dtype": "int8"}.items():
        yield Malicious(
            f"manifest that lies about {field}",
            with_document(GOOD, lambda d, f=field, v=value: d["manifest"].update({f: v})),
            field,
        )
    yield Malicious(
        "manifest that states its own id",
        with_document(GOOD, lambda d: d["manifest"].update(kernel_id="0" * 64)),
        "own digest",
    )
    yield Malicious(
        "manifest with a field too many",
        with_document(GOOD, lambda d: d["manifest"].update(on_load="run()")),
        "on_load",
    )


def _that_poison() -> Iterator[Malicious]:
    header, body = split(GOOD)
    for name, number in {
        "NaN": "7fc00000",
        "infinity": "7f800000",
        "-infinity": "ff800000",
    }.items():
        poison = bytes.fromhex(number)[::-1]
        yield Malicious(f"{name} in the weights", join(header, poison + body[4:]), "NaN")
        yield Malicious(f"{name} in the last weight", join(header, body[:-4] + poison), "NaN")
    conv_header, conv_body = split(kernel_file(conv_graph()))
    begin, end = conv_header["norm.num_batches_tracked"]["data_offsets"]
    negative = conv_body[:begin] + b"\xff" * (end - begin) + conv_body[end:]
    yield Malicious("negative count", join(conv_header, negative), "negative count")
    yield Malicious(
        "NaN in the graph",
        with_document(GOOD, lambda d: d["ir"]["nodes"][0]["attrs"].update(bias=float("nan"))),
        "not a finite number",
    )


def _graph(change: Callable[[dict[str, Any]], object]) -> bytes:
    return with_document(GOOD, lambda document: change(document["ir"]))


def _lengthen(ir: dict[str, Any]) -> None:
    bend = next(node for node in ir["nodes"] if node["op"] == "relu")
    for number in range(10_000):
        ir["nodes"].append({**bend, "name": f"bend{number}"})
