from __future__ import annotations

import pytest

from esper.blueprints.build import build
from esper.blueprints.builder import GraphBuilder
from esper.blueprints.graph_weights import check_parameters, describe, parameter_shapes
from esper.blueprints.ir import GraphIR, Limits
from esper.contracts.errors import BlueprintError


def kernel_graph() -> GraphIR:
    g = GraphBuilder((20,))
    wide = g.add("conv1d", g.add("unflatten", "x", sizes=(2, 10)), out_channels=4, kernel_size=3)
    scaled = g.add("scale", g.add("relu", g.add("batch_norm1d", wide)), axis=0)
    return g.finish(g.add("linear", g.add("flatten", scaled), out_features=5))


def test_parameter_shapes_name_the_built_parameters() -> None:
    built = {name: tuple(p.shape) for name, p in build(kernel_graph()).named_parameters()}
    assert parameter_shapes(kernel_graph()) == built
    assert built["scale.weight"] == (4, 1)


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(BlueprintError, match=r"parameters, more than the limit of 10"):
        check_parameters(kernel_graph(), Limits(parameters=10))


def test_a_description_has_a_line_for_each_node() -> None:
    text = describe(kernel_graph())
    assert "conv1d = conv1d(unflatten; out_channels=4, kernel_size=3) -> (4, 8)" in text
    assert "[28 parameters]" in text
    assert text.count("\n") == len(kernel_graph().nodes) + 1
