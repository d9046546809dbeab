"""What the vocabulary says of torch without importing it is what the installed torch says."""

from __future__ import annotations

from torch import fx

from esper.blueprints.initial import FILLS
from esper.blueprints.ir import NAME
from esper.blueprints.ops.stock import INITIAL, TAKEN


def test_no_node_may_have_a_name_that_a_graph_module_needs() -> None:
    assert {name for name in dir(fx.GraphModule) if NAME.fullmatch(name)} <= TAKEN
    assert {"training", "graph"} <= TAKEN


def test_every_rule_for_first_weights_has_its_name() -> None:
    assert ("default", *FILLS) == INITIAL
