"""Making a module of a graph: an `fx.GraphModule` of stock torch modules.

What comes out pickles, deep-copies, goes through `torch.export`, and runs where this package is
not installed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import fx, nn

from esper.blueprints.ir import DEFAULT_LIMITS, GraphIR, Limits, Node
from esper.blueprints.ops.op import Op, Specs
from esper.contracts.errors import BlueprintError

_DESCRIBED: Final[dict[tuple[Op, Specs, str], Mapping[str, torch.Tensor]]] = {}
_MOST_DESCRIBED: Final = 4096


def build(ir: GraphIR, *, seed: int | None = None) -> fx.GraphModule:
    """Return a module that computes the graph, with freshly drawn weights, in training mode.

    Args:
        ir: The graph. Each node with weights becomes the submodule of its name.
        seed: Draw the weights from a generator of this seed and leave torch's global one as it
            is; None draws from the global one.

    Returns:
        A module on the CPU in float32 that takes a batch of the graph's inputs, (B, *shape), in
        the inputs' alphabetical order, and returns a batch of its output (B, *shape), or a
        dictionary of them where there are several.

    Raises:
        BlueprintError: The weights exceed `Limits.parameters`.
    """
    check_parameters(ir, DEFAULT_LIMITS)
    if seed is None:
        return _build(ir)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return _build(ir)


def _build(ir: GraphIR) -> fx.GraphModule:
    graph, root = fx.Graph(), dict[str, Any]()
    values = {name: graph.placeholder(name) for name in ir.inputs}
    with torch.device("cpu"):
        for node in ir.nodes:
            sources = [values[source] for source in node.inputs]
            specs = ir.input_specs(node)
            values[node.name] = ir.op(node).emit(graph, root, node.name, sources, specs, node.attrs)
    shown = {name: values[source] for name, source in ir.outputs.items()}
    graph.output(next(iter(shown.values())) if len(shown) == 1 else shown)
    graph.lint()
    return fx.GraphModule(_module_tree(root), graph, class_name="Kernel")


def _module_tree(root: dict[str, Any]) -> nn.Module:
    """Return a module that owns everything in `root`, so that names resolve while copying."""
    tree = nn.Module()
    for target, value in root.items():
        owner, _, last = target.rpartition(".")
        if owner and owner not in dict(tree.named_children()):
            tree.add_module(owner, nn.Module())
        if isinstance(value, nn.Parameter):
            tree.get_submodule(owner).register_parameter(last, value)
        else:
            tree.get_submodule(owner).add_module(last, value)
    return tree


def _node_tensors(ir: GraphIR, node: Node) -> Mapping[str, torch.Tensor]:
    op, inputs = ir.op(node), tuple(ir.input_specs(node))
    # Kernels come in series of one shape, and describing a module is a tenth of checking a kernel.
    key = (op, inputs, json.dumps(dict(node.attrs), sort_keys=True))
    found = _DESCRIBED.get(key)
    if found is None:
        if len(_DESCRIBED) >= _MOST_DESCRIBED:
            _DESCRIBED.clear()
        found = _DESCRIBED[key] = _describe_node(op, inputs, node)
    return found


def _describe_node(op: Op, inputs: Specs, node: Node) -> Mapping[str, torch.Tensor]:
    try:
        return MappingProxyType(op.tensors(inputs, node.attrs))
    except (RuntimeError, OverflowError) as problem:
        raise BlueprintError(
            f"Node {node.name!r} ({node.op}) has weights that are too large to describe: {problem}"
        ) from None


def state_tensors(ir: GraphIR) -> dict[str, torch.Tensor]:
    """Return the built module's `state_dict` as tensors on the meta device: shapes and dtypes only.

    Parameters are `nn.Parameter`s, buffers plain tensors. Nothing is allocated or drawn.
    """
    return {
        f"{node.name}.{name}": tensor
        for node in ir.nodes
        for name, tensor in _node_tensors(ir, node).items()
    }


def parameter_shapes(ir: GraphIR) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter by its name in the built module, without building it."""
    return {
        name: tuple(tensor.shape)
        for name, tensor in state_tensors(ir).items()
        if isinstance(tensor, nn.Parameter)
    }


def count_parameters(ir: GraphIR) -> int:
    """Return the number of parameters, without building."""
    return sum(math.prod(shape) for shape in parameter_shapes(ir).values())


def check_parameters(ir: GraphIR, limits: Limits) -> None:
    """Hold a graph to its limit on parameters.

    Raises:
        BlueprintError: It has more.
    """
    count = count_parameters(ir)
    if count > limits.parameters:
        raise BlueprintError(
            f"The graph has {count} parameters, more than the limit of {limits.parameters}; "
            "make it narrower."
        )


def describe(ir: GraphIR) -> str:
    """Return the graph as a text of one line per node: name, op, inputs, shape and parameters."""
    lines = [f"input  {name}: {spec}" for name, spec in ir.inputs.items()]
    for node in ir.nodes:
        defaults = ir.op(node).attributes
        attrs = ", ".join(
            f"{key}={value}" for key, value in node.attrs.items() if value != defaults[key].default
        )
        weights = sum(
            tensor.numel()
            for tensor in _node_tensors(ir, node).values()
            if isinstance(tensor, nn.Parameter)
        )
        call = f"{node.op}({', '.join(node.inputs)}{'; ' if attrs else ''}{attrs})"
        suffix = f"  [{weights:,} parameters]" if weights else ""
        lines.append(f"{node.name} = {call} -> {ir.specs[node.name]}{suffix}")
    lines += [f"output {name}: {source} {ir.specs[source]}" for name, source in ir.outputs.items()]
    return "\n".join(lines)
