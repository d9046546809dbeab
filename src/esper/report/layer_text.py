"""Layers in few words: what torch and the blueprints say at length, as a drawing has room for.

A detail that is in none of the known forms is left as it is.
"""

from __future__ import annotations

import re

from esper.contracts.growth import LayerRecord

_LINEAR = re.compile(r"in_features=(\d+), out_features=(\d+), bias=\w+")
_NODE = re.compile(
    r"(?P<name>\w+) = (?P<op>\w+)\((?P<inputs>[^;()]*)(?:; (?P<attrs>.*))?\) -> \((?P<shape>[^()]*)\)"
)
_KERNEL_SIZE = re.compile(r"kernel_size=\(?(\d+)")
_STRIDE = re.compile(r"stride=\(?(\d+)")


def layer_text(layer: LayerRecord) -> str:
    """What a host layer maps to what: `40 → 100` for a linear one."""
    return _LINEAR.sub(r"\1 → \2", layer.detail)


def kernel_lines(detail: str) -> list[str]:
    """A kernel's description, one line for each change of shape.

    `conv1d k5 s2, batch_norm1d, relu → 12 × 20` stands for three operations of the graph.
    """
    nodes = [match for line in detail.splitlines() if (match := _NODE.match(line.strip()))]
    if not nodes:
        return [line.strip() for line in detail.splitlines() if line.strip()]
    groups: list[tuple[list[str], str]] = []
    for node in nodes:
        shape = " × ".join(part.strip() for part in node["shape"].split(","))
        if groups and groups[-1][1] == shape:
            groups[-1][0].append(_operation(node))
        else:
            groups.append(([_operation(node)], shape))
    return [f"{', '.join(operations)} → {shape}" for operations, shape in groups]


def _operation(node: re.Match[str]) -> str:
    attributes = node["attrs"] or ""
    size, stride = _KERNEL_SIZE.search(attributes), _STRIDE.search(attributes)
    words = [node["op"]]
    if size is not None:
        words.append(f"k{size[1]}")
    if stride is not None and stride[1] != "1":
        words.append(f"s{stride[1]}")
    return " ".join(words)
