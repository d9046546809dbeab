"""GraphIR: what a kernel computes, as data: a graph over a closed vocabulary of ops.

A graph is valid from the moment it exists: construction checks names, ops, attributes, order,
shapes and limits, and raises `BlueprintError` with the node, the value and the remedy. It says
nothing about weights; `build.py` makes a module of it and `cost.py` prices it. Shapes are per
sample and batch-first: the batch axis is never written.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from esper.blueprints.ops.attribute import accept_all
from esper.blueprints.ops.op import Op, ShapeError
from esper.blueprints.ops.stock import TAKEN
from esper.blueprints.ops.vocabulary import VOCABULARY
from esper.blueprints.tensor_spec import TensorSpec
from esper.contracts.errors import BlueprintError
from esper.utils import strict_json
from esper.utils.nearest import did_you_mean

SCHEMA = 1
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DEPTH = 8
"""Greatest nesting of the text; what `to_json` writes stays below."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How large a graph may be; a kernel file from elsewhere is held to these before it is built."""

    nodes: int = 512
    """Greatest number of nodes."""
    depth: int = 256
    """Greatest number of nodes on a path from an input to an output."""
    elements: int = 2**28
    """Greatest number of values in any one intermediate result, per sample."""
    parameters: int = 2**31
    """Greatest number of parameters."""
    text: int = 2**20
    """Greatest length of the JSON text, in characters."""


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Node:
    """One step of a graph.

    Args:
        name: Unique in the graph, `[a-z][a-z0-9_]*`; also the name of the built submodule.
        op: A word of the vocabulary.
        inputs: Names of graph inputs or earlier nodes.
        attrs: The op's attributes; the graph fills in defaults.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class GraphIR:
    """A valid graph. Equal graphs have equal JSON.

    Args:
        inputs: Spec of each named input. Kernels have one, called "x".
        nodes: Steps in topological order: each reads only inputs and earlier nodes.
        outputs: Which node each named output shows. Kernels have one, called "y".
        schema: Version of this format.

    Raises:
        BlueprintError: The graph is not valid.
    """

    inputs: Mapping[str, TensorSpec]
    nodes: tuple[Node, ...]
    outputs: Mapping[str, str]
    schema: int = SCHEMA
    specs: Mapping[str, TensorSpec] = field(init=False, repr=False, compare=False)
    """Spec of every input and node, by name; inferred."""

    def __post_init__(self) -> None:
        if type(self.schema) is not int or self.schema != SCHEMA:
            raise BlueprintError(
                f"The graph has schema {self.schema!r}; this version of esper reads {SCHEMA}."
            )
        store = object.__setattr__
        store(self, "inputs", dict(sorted(self.inputs.items())))
        store(self, "outputs", dict(sorted(self.outputs.items())))
        _check_size(len(self.nodes), "nodes", DEFAULT_LIMITS)
        nodes, specs = _resolve(self.inputs, self.nodes)
        store(self, "nodes", nodes)
        store(self, "specs", specs)
        _check_reach(self)
        _check_size(_depth(self), "depth", DEFAULT_LIMITS)

    def __hash__(self) -> int:
        return hash(self.to_json())

    def op(self, node: Node) -> Op:
        """Return the vocabulary's entry for a node."""
        return VOCABULARY.lookup(node.op)

    def input_specs(self, node: Node) -> tuple[TensorSpec, ...]:
        """Return the specs that a node reads."""
        return tuple(self.specs[source] for source in node.inputs)

    @property
    def input_spec(self) -> TensorSpec:
        """The spec of the one input of a kernel."""
        return next(iter(self.inputs.values()))

    @property
    def output_spec(self) -> TensorSpec:
        """The spec of the one output of a kernel."""
        return self.specs[next(iter(self.outputs.values()))]

    @property
    def depth(self) -> int:
        """Number of nodes on the longest path."""
        return _depth(self)

    def check(self, limits: Limits) -> None:
        """Hold the graph to limits on nodes, depth and intermediate sizes.

        `graph_weights.check_parameters` does the same for parameters.

        Raises:
            BlueprintError: A limit is exceeded.
        """
        _check_size(len(self.nodes), "nodes", limits)
        _check_size(_depth(self), "depth", limits)
        _check_size(max(spec.elements for spec in self.specs.values()), "elements", limits)

    def with_input_shape(self, shape: tuple[int | None, ...]) -> GraphIR:
        """Return the graph for another input shape, such as a sequence of known length.

        Raises:
            BlueprintError: The graph does not accept that shape.
        """
        name, spec = next(iter(self.inputs.items()))
        return GraphIR({**self.inputs, name: spec.with_shape(shape)}, self.nodes, self.outputs)

    def to_dict(self) -> dict[str, Any]:
        """Return the graph as plain JSON values."""
        return {
            "schema": self.schema,
            "inputs": {
                name: {"shape": list(spec.shape), "dtype": spec.dtype}
                for name, spec in self.inputs.items()
            },
            "nodes": [
                {
                    "name": node.name,
                    "op": node.op,
                    "inputs": list(node.inputs),
                    "attrs": {
                        key: list(value) if isinstance(value, tuple) else value
                        for key, value in node.attrs.items()
                    },
                }
                for node in self.nodes
            ],
            "outputs": dict(self.outputs),
        }

    def to_json(self) -> str:
        """Return the canonical text: equal graphs give equal texts."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @staticmethod
    def from_dict(data: Any, limits: Limits = DEFAULT_LIMITS) -> GraphIR:
        """Read what `to_dict` wrote.

        Raises:
            BlueprintError: A field is unknown, missing or of the wrong type, or the graph is
                not valid, or exceeds the limits.
        """
        fields = _fields(
            data, "graph", {"schema": int, "inputs": dict, "nodes": list, "outputs": dict}
        )
        _check_size(len(fields["nodes"]), "nodes", limits)
        graph = GraphIR(
            {str(name): _read_spec(name, spec) for name, spec in fields["inputs"].items()},
            tuple(_read_node(node) for node in fields["nodes"]),
            fields["outputs"],
            fields["schema"],
        )
        graph.check(limits)
        return graph

    @staticmethod
    def from_json(text: str, limits: Limits = DEFAULT_LIMITS) -> GraphIR:
        """Read what `to_json` wrote.

        Raises:
            BlueprintError: The text is too long, not JSON, repeats a key, or is not a valid graph.
        """
        try:
            data = strict_json.loads(
                text.encode("utf-8", "surrogatepass"), max_bytes=limits.text, max_depth=_DEPTH
            )
        except strict_json.StrictJsonError as problem:
            raise BlueprintError(f"The graph's text {problem}.") from None
        return GraphIR.from_dict(data, limits)


def _fields(data: Any, what: str, types: Mapping[str, type]) -> dict[str, Any]:
    """Return a JSON object's fields: exactly these, of exactly these types."""
    if type(data) is not dict:
        raise BlueprintError(f"A {what} is {data!r:.80}; it must be a JSON object.")
    for name in data:
        if name not in types:
            raise BlueprintError(f"A {what} has the field {name!r}. {did_you_mean(name, types)}")
    for name, kind in types.items():
        if name not in data:
            raise BlueprintError(f"A {what} lacks its field {name!r}: {data!r:.80}.")
        if type(data[name]) is not kind:
            raise BlueprintError(
                f"A {what} has {name!r} = {data[name]!r:.80}; it must be a JSON {kind.__name__}."
            )
    return data


def _read_spec(name: str, data: Any) -> TensorSpec:
    fields = _fields(data, f"spec of the input {name!r}", {"shape": list, "dtype": str})
    return TensorSpec(tuple(fields["shape"]), fields["dtype"])


def _read_node(data: Any) -> Node:
    fields = _fields(data, "node", {"name": str, "op": str, "inputs": list, "attrs": dict})
    return Node(fields["name"], fields["op"], tuple(fields["inputs"]), fields["attrs"])


def _resolve(
    inputs: Mapping[str, TensorSpec], nodes: tuple[Node, ...]
) -> tuple[tuple[Node, ...], dict[str, TensorSpec]]:
    """Check every node in order; return them with all attributes filled in, and all specs."""
    if not inputs:
        raise BlueprintError("The graph has no inputs; a kernel has one, called 'x'.")
    specs: dict[str, TensorSpec] = {}
    for name, spec in inputs.items():
        _check_name(name, "input")
        specs[name] = spec
    later = {str(node.name) for node in nodes}
    resolved = []
    for node in nodes:
        _check_name(node.name, "node")
        if node.name in specs:
            raise BlueprintError(f"The name {node.name!r} is used twice; rename one of the two.")
        _check_sources(node, specs, later)
        full, spec = _infer(node, specs)
        resolved.append(full)
        specs[node.name] = spec
    return tuple(resolved), specs


def _check_name(name: Any, what: str) -> None:
    if type(name) is not str or not NAME.fullmatch(name):
        raise BlueprintError(
            f"The {what} name {name!r} is not allowed: use a lower-case letter, then up to 63 "
            "lower-case letters, digits and underscores."
        )
    if keyword.iskeyword(name) or name in TAKEN:
        raise BlueprintError(
            f"The {what} name {name!r} is taken by Python or by torch modules; add a suffix."
        )


def _check_sources(node: Node, specs: Mapping[str, TensorSpec], later: set[str]) -> None:
    for source in node.inputs:
        if type(source) is str and source in specs:
            continue
        if type(source) is str and source in later:
            raise BlueprintError(
                f"Node {node.name!r} reads {source!r}, which does not come before it. List nodes so "
                "that each reads only inputs and earlier nodes; a graph may not have a cycle."
            )
        raise BlueprintError(
            f"Node {node.name!r} reads {source!r}, which does not exist. "
            f"{did_you_mean(str(source), list(specs))}"
        )


def _infer(node: Node, specs: Mapping[str, TensorSpec]) -> tuple[Node, TensorSpec]:
    where = f"Node {node.name!r} ({node.op})"
    op = VOCABULARY.get(str(node.op))
    if op is None:
        raise BlueprintError(
            f"Node {node.name!r} has the unknown op {node.op!r}. "
            f"{did_you_mean(str(node.op), list(VOCABULARY))}"
        )
    least, most = op.arity
    if not least <= len(node.inputs) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        raise BlueprintError(f"{where} has {len(node.inputs)} inputs; give it {wanted}.")
    attrs = accept_all(op.attributes, node.attrs, where)
    try:
        spec = op.infer([specs[source] for source in node.inputs], attrs)
    except ShapeError as problem:
        raise BlueprintError(f"{where} {problem}.") from None
    _check_size(spec.elements, "elements", DEFAULT_LIMITS)
    return Node(node.name, node.op, tuple(node.inputs), attrs), spec


def _check_reach(graph: GraphIR) -> None:
    """Every output exists, and every input and node contributes to one."""
    if not graph.outputs:
        raise BlueprintError("The graph has no outputs; a kernel has one, called 'y'.")
    for name, source in graph.outputs.items():
        if type(name) is not str or not NAME.fullmatch(name):
            raise BlueprintError(f"The output name {name!r} is not allowed; call it 'y'.")
        if type(source) is not str or source not in graph.specs:
            raise BlueprintError(
                f"The output {name!r} shows {source!r}, which does not exist. "
                f"{did_you_mean(str(source), list(graph.specs))}"
            )
    live = set(graph.outputs.values())
    for node in reversed(graph.nodes):
        if node.name in live:
            live.update(node.inputs)
    for name in graph.specs:
        if name not in live:
            raise BlueprintError(f"{name!r} reaches no output; remove it or read it somewhere.")


def _depth(graph: GraphIR) -> int:
    depths = dict.fromkeys(graph.inputs, 0)
    for node in graph.nodes:
        depths[node.name] = 1 + max(depths[source] for source in node.inputs)
    return max(depths[source] for source in graph.outputs.values())


def _check_size(value: int, what: str, limits: Limits) -> None:
    limit = getattr(limits, what)
    if value > limit:
        raise BlueprintError(
            f"The graph has {value} {what}, more than the limit of {limit}; make it smaller."
        )
