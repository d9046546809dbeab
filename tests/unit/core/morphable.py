"""A small net and kernels that fit it, for the tests of MorphableModel."""

from __future__ import annotations

from torch import nn

from esper.blueprints.build import build
from esper.blueprints.builder import GraphBuilder
from esper.blueprints.ir import GraphIR
from esper.contracts.enums import KernelMode
from esper.execution.artifact import pack


def make_net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4), nn.BatchNorm1d(4))


def graph(inputs: int = 6, outputs: int = 8) -> GraphIR:
    builder = GraphBuilder((inputs,))
    hidden = builder.add("gelu", builder.add("linear", "x", out_features=5))
    return builder.finish(builder.add("linear", hidden, out_features=outputs))


def kernel_file(mode: KernelMode = KernelMode.REPLACING, **sizes: int) -> bytes:
    ir = graph(**sizes)
    return pack(build(ir, seed=3), ir, mode, blueprint="test/mlp")
