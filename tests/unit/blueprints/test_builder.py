from __future__ import annotations

import pytest

from esper.blueprints.builder import GraphBuilder
from esper.contracts.errors import BlueprintError


def test_steps_are_named_after_their_op_and_numbered_from_the_second_on() -> None:
    g = GraphBuilder((4,))
    names = [g.add("relu", "x"), g.add("relu", "x"), g.add("tanh", "x", name="last")]
    assert names == ["relu", "relu_2", "last"]
    ir = g.finish(g.add("concat", *names))
    assert ir.output_spec.shape == (12,)


def test_shapes_are_known_at_each_step() -> None:
    g = GraphBuilder((None, 4))
    wide = g.add("linear", "x", out_features=6)
    assert g.shape(wide) == (None, 6)
    assert g.size(wide, -1) == 6
    with pytest.raises(ValueError, match="no fixed size"):
        g.size(wide, 0)


def test_a_bad_step_raises_where_it_is_written() -> None:
    g = GraphBuilder((4,))
    with pytest.raises(BlueprintError, match="'nowhere', which does not exist"):
        g.add("relu", "nowhere")
    with pytest.raises(BlueprintError, match="product is not the axis"):
        g.add("unflatten", "x", sizes=(3, 2))
    assert g.finish(g.add("relu", "x")).nodes[0].name == "relu"


def test_a_chain_reads_each_step_from_the_one_before() -> None:
    g = GraphBuilder((4,))
    end = g.chain("x", ("linear", {"out_features": 2}), ("relu", {}))
    assert [node.inputs for node in g.finish(end).nodes] == [("x",), ("linear",)]
