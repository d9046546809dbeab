"""Small kernels and kernel files that several tests share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from esper.blueprints.build import build
from esper.blueprints.ir import GraphIR, Node
from esper.blueprints.tensor_spec import TensorSpec
from esper.contracts.enums import KernelMode
from esper.execution.artifact import pack
from esper.execution.artifact_check import ENTRY


def mlp_graph(width: int = 3) -> GraphIR:
    """Two linear layers, (4) to (4)."""
    return GraphIR(
        {"x": TensorSpec((4,))},
        (
            Node("up", "linear", ("x",), {"out_features": width}),
            Node("bend", "relu", ("up",)),
            Node("down", "linear", ("bend",), {"out_features": 4}),
        ),
        {"y": "down"},
    )


def conv_graph() -> GraphIR:
    """A convolution and a batch norm over a signal of any length: integers among the weights."""
    return GraphIR(
        {"x": TensorSpec((2, None))},
        (
            Node("conv", "conv1d", ("x",), {"out_channels": 2, "kernel_size": 3, "padding": 1}),
            Node("norm", "batch_norm1d", ("conv",)),
        ),
        {"y": "norm"},
    )


GRAPHS: dict[str, Callable[[], GraphIR]] = {"mlp": mlp_graph, "conv": conv_graph}


def kernel_file(
    graph: GraphIR | None = None, *, seed: int = 0, dtype: torch.dtype = torch.float32
) -> bytes:
    """A valid kernel file; another seed gives other weights and so another id."""
    graph = graph or mlp_graph()
    module: nn.Module = build(graph, seed=seed).to(dtype)
    return pack(module, graph, KernelMode.REPLACING, blueprint="test")


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, parsed, and the bytes that follow it."""
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def join(header: dict[str, Any] | str | bytes, body: bytes) -> bytes:
    """A safetensors file of a header and a body, padded as the format asks."""
    if isinstance(header, dict):
        header = json.dumps(header)
    text = header.encode() if isinstance(header, str) else header
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def with_document(data: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The file with its manifest and graph changed by `change`, which edits them in place."""
    header, body = split(data)
    document = json.loads(header["__metadata__"][ENTRY])
    change(document)
    header["__metadata__"][ENTRY] = json.dumps(document)
    return join(header, body)
