"""Making a module of a graph: an `fx.GraphModule` of stock torch modules.

What comes out pickles, deep-copies, goes through `torch.export`, and runs where this package is
not installed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import fx, nn

from esper.blueprints.graph_weights import check_parameters
from esper.blueprints.initial import initialise
from esper.blueprints.ir import DEFAULT_LIMITS, GraphIR
from esper.blueprints.ops.stock import LearnedValue, Stock, StockModule
from esper.contracts.errors import BlueprintError

_MODULES: Final = {"torch": torch, "functional": nn.functional, "operator": operator}
"""Where the functions are that the vocabulary names."""


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
        BlueprintError: The weights exceed `Limits.parameters`, or a node is called what a library
            of this process has added to torch's modules.
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
            stock = ir.op(node).stock(ir.input_specs(node), node.attrs)
            values[node.name] = _write(graph, root, node.name, sources, stock)
    shown = {name: values[source] for name, source in ir.outputs.items()}
    graph.output(next(iter(shown.values())) if len(shown) == 1 else shown)
    graph.lint()
    return fx.GraphModule(_module_tree(root), graph, class_name="Kernel")


def _write(
    graph: fx.Graph, root: dict[str, Any], name: str, sources: Sequence[fx.Node], stock: Stock
) -> fx.Node:
    """Write one node into `graph`, and what it owns into `root`."""
    if isinstance(stock, StockModule):
        module: nn.Module = getattr(nn, stock.kind)(**stock.arguments)
        root[name] = initialise(module, stock.initial)
        result = graph.call_module(name, tuple(sources))
        part = stock.part
        return result if part is None else graph.call_function(operator.getitem, (result, part))
    if isinstance(stock, LearnedValue):
        value = torch.full(stock.shape, stock.mean)
        if stock.deviation is not None:
            value.normal_(stock.mean, stock.deviation)
        root[f"{name}.weight"] = nn.Parameter(value)
        learned = graph.get_attr(f"{name}.weight")
        return graph.call_function(_function(stock.join), (sources[0], learned))
    inputs = (list(sources),) if stock.as_list else tuple(sources)
    function = _function(stock.function)
    return graph.call_function(function, (*inputs, *stock.rest), dict(stock.keywords))


def _function(name: str) -> Callable[..., Any]:
    module, _, word = name.partition(".")
    found: Callable[..., Any] = getattr(_MODULES[module], word)
    return found


def _module_tree(root: dict[str, Any]) -> nn.Module:
    """Return a module that owns everything in `root`, so that names resolve while copying."""
    tree = nn.Module()
    for target, value in root.items():
        owner, _, last = target.rpartition(".")
        if hasattr(fx.GraphModule, owner or last):  # torch's own names are not in the vocabulary
            raise BlueprintError(
                f"The node name {owner or last!r} is taken: a library of this process has added "
                "it to torch's modules. Add a suffix to the node's name."
            )
        if owner and owner not in dict(tree.named_children()):
            tree.add_module(owner, nn.Module())
        if isinstance(value, nn.Parameter):
            tree.get_submodule(owner).register_parameter(last, value)
        else:
            tree.get_submodule(owner).add_module(last, value)
    return tree
