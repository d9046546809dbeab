"""GraphBuilder: writing a graph step by step, with shapes known at each step."""

from __future__ import annotations

from typing import Any

from esper.blueprints.ir import GraphIR, Node
from esper.blueprints.tensor_spec import Shape, TensorSpec


class GraphBuilder:
    """Writes a graph with the input "x" and the output "y".

    Example:
        >>> g = GraphBuilder((40,))
        >>> hidden = g.add("relu", g.add("linear", "x", out_features=16))
        >>> ir = g.finish(g.add("linear", hidden, out_features=100))
        >>> [node.name for node in ir.nodes]
        ['linear', 'relu', 'linear_2']

    Args:
        shape: Per-sample shape of the input; None is an axis of any size.
        dtype: "float32" or "int64".
    """

    def __init__(self, shape: Shape, dtype: str = "float32") -> None:
        self._input = TensorSpec(shape, dtype)
        self._nodes: list[Node] = []
        self._specs: dict[str, TensorSpec] = {"x": self._input}

    def add(self, op: str, *sources: str, name: str | None = None, **attrs: Any) -> str:
        """Add a step and return its name: `name`, or the op's with a number where it is taken.

        Raises:
            BlueprintError: The step is not valid; the message says why.
        """
        node = Node(name or self._free_name(op), op, sources, attrs)
        inputs = {source: self._specs[source] for source in sources if source in self._specs}
        step = GraphIR(inputs or {"x": self._input}, (node,), {"y": node.name})
        self._nodes.append(step.nodes[0])
        self._specs[node.name] = step.specs[node.name]
        return node.name

    def chain(self, source: str, *steps: tuple[str, dict[str, Any]]) -> str:
        """Add steps that each read the one before; return the last one's name."""
        for op, attrs in steps:
            source = self.add(op, source, **attrs)
        return source

    def shape(self, name: str) -> Shape:
        """Return the per-sample shape of a step."""
        return self._specs[name].shape

    def size(self, name: str, axis: int) -> int:
        """Return the size of an axis that is known.

        Raises:
            ValueError: The size varies.
        """
        size = self._specs[name].shape[axis]
        if size is None:
            raise ValueError(f"Axis {axis} of {name!r} {self._specs[name]} has no fixed size.")
        return size

    def finish(self, output: str) -> GraphIR:
        """Return the graph whose output "y" is this step.

        Raises:
            BlueprintError: A step reaches no output.
        """
        return GraphIR({"x": self._input}, tuple(self._nodes), {"y": output})

    def _free_name(self, op: str) -> str:
        taken = {node.name for node in self._nodes}
        names = (op if number == 1 else f"{op}_{number}" for number in range(1, 10_000))
        return next(name for name in names if name not in taken)
