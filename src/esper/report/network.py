"""The network as a graph: its layers in order, grouped as the model groups them, with their slots."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from esper.contracts.growth import LayerRecord
from esper.report.run_account import RunAccount
from esper.report.slot_lives import SlotLife, lives_at

_NUMBERED = re.compile(r"^(.*?\D\.\d+)\.")


@dataclass(frozen=True, kw_only=True)
class Node:
    """One layer of the model as it was given, and what grew there."""

    name: str
    short: str
    """Its name within its group."""
    kind: str
    detail: str
    """What it maps to what: `40 → 100`."""
    parameters: int
    slots: Sequence[SlotLife]
    """Empty where the layer cannot grow."""
    kernel: SlotLife | None
    """The slot whose kernel is in the model now, if there is one."""
    kernel_text: Sequence[str]
    """What the kernel computes, one line for each change of shape; empty where nobody said yet."""

    @property
    def told(self) -> Sequence[SlotLife]:
        """The slots with a life to show: those where something happened, or else the first."""
        return [life for life in self.slots if life.events] or self.slots[:1]

    @property
    def spare(self) -> Sequence[SlotLife]:
        """The other slots: empty, and never tried."""
        return [life for life in self.slots if life not in self.told]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Layers that belong together, or a layer by itself."""

    name: str
    """Empty for a layer by itself."""
    nodes: Sequence[Node]


def network(run: RunAccount, lives: Mapping[str, SlotLife]) -> list[Group]:
    """Return the model's layers in their order, those of one numbered block together."""
    layers = run.host.layers or _unknown_layers(lives)
    grown = {layer.name: layer for layer in run.growth.after if layer.grown}
    groups: list[Group] = []
    for layer in layers:
        group = _group(layer.name)
        node = _node(layer, group, grown.get(layer.name), lives_at(lives, layer.name))
        if groups and group and groups[-1].name == group:
            groups[-1] = Group(name=group, nodes=[*groups[-1].nodes, node])
        else:
            groups.append(Group(name=group, nodes=[node]))
    return groups


def _unknown_layers(lives: Mapping[str, SlotLife]) -> tuple[LayerRecord, ...]:
    """What can be drawn of a model that never introduced itself: the layers with slots."""
    names = dict.fromkeys(life.layer for life in lives.values())
    return tuple(LayerRecord(name=name, kind="layer", detail="", parameters=0) for name in names)


def _node(
    layer: LayerRecord, group: str, grown: LayerRecord | None, slots: Sequence[SlotLife]
) -> Node:
    return Node(
        name=layer.name,
        short=layer.name.removeprefix(f"{group}.") if group else layer.name,
        kind=layer.kind,
        detail=layer_text(layer),
        parameters=layer.parameters,
        slots=slots,
        kernel=next((life for life in slots if life.holds_kernel), None),
        kernel_text=kernel_lines(grown.detail) if grown is not None else (),
    )


def _group(name: str) -> str:
    """`blocks.0` of `blocks.0.attention.query`; empty where no numbered block has a name."""
    match = _NUMBERED.match(name)
    return match[1] if match else ""


_LINEAR = re.compile(r"in_features=(\d+), out_features=(\d+), bias=\w+")
_NODE = re.compile(
    r"(?P<name>\w+) = (?P<op>\w+)\((?P<inputs>[^;()]*)(?:; (?P<attrs>.*))?\) -> \((?P<shape>[^()]*)\)"
)
_KERNEL_SIZE = re.compile(r"kernel_size=\(?(\d+)")
_STRIDE = re.compile(r"stride=\(?(\d+)")


def layer_text(layer: LayerRecord) -> str:
    """What a host layer maps to what: `40 → 100` for a linear one; other details stay as they are."""
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
