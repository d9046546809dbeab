"""What a graph's weights are: names, shapes and dtypes, and how many, without building and torch."""

from __future__ import annotations

import math

from esper.blueprints.ir import GraphIR, Limits
from esper.blueprints.ops.stock import Weight
from esper.contracts.errors import BlueprintError


def state_weights(ir: GraphIR) -> dict[str, Weight]:
    """Return the built module's `state_dict` as shapes and dtypes; nothing is allocated or drawn."""
    return {
        f"{node.name}.{name}": weight
        for node in ir.nodes
        for name, weight in ir.op(node).weights(ir.input_specs(node), node.attrs).items()
    }


def parameter_shapes(ir: GraphIR) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter by its name in the built module, without building it."""
    return {name: w.shape for name, w in state_weights(ir).items() if w.is_parameter}


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
    shapes = parameter_shapes(ir)
    lines = [f"input  {name}: {spec}" for name, spec in ir.inputs.items()]
    for node in ir.nodes:
        defaults = ir.op(node).attributes
        attrs = ", ".join(
            f"{key}={value}" for key, value in node.attrs.items() if value != defaults[key].default
        )
        own = (shape for name, shape in shapes.items() if name.startswith(f"{node.name}."))
        weights = sum(map(math.prod, own))
        call = f"{node.op}({', '.join(node.inputs)}{'; ' if attrs else ''}{attrs})"
        suffix = f"  [{weights:,} parameters]" if weights else ""
        lines.append(f"{node.name} = {call} -> {ir.specs[node.name]}{suffix}")
    lines += [f"output {name}: {source} {ir.specs[source]}" for name, source in ir.outputs.items()]
    return "\n".join(lines)
