from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from esper.blueprints.build import build
from esper.blueprints.builder import GraphBuilder
from esper.blueprints.cost import cost
from esper.blueprints.flops import measured_flops
from esper.blueprints.ir import GraphIR, Limits, Node
from esper.blueprints.ops.vocabulary import VOCABULARY
from esper.blueprints.tensor_spec import TensorSpec
from esper.contracts.errors import BlueprintError

X = {"x": TensorSpec((8,))}


def small() -> GraphIR:
    nodes = (Node("wide", "linear", ("x",), {"out_features": 4}), Node("act", "relu", ("wide",)))
    return GraphIR(X, nodes, {"y": "act"})


@st.composite
def graphs(draw: st.DrawFn) -> GraphIR:
    """Grow a random valid graph over vectors, sequences and channels."""
    shape = draw(
        st.sampled_from([(6,), (12,), (4, 6), (3, 8), (2, 6, 6), (None, 6)]),
    )
    g = GraphBuilder(shape)
    here = "x"
    steps = [
        ("linear", {"out_features": draw(st.integers(1, 9)), "bias": draw(st.booleans())}),
        ("relu", {}),
        ("layer_norm", {"eps": draw(st.floats(1e-8, 0.5))}),
        ("dropout", {"p": draw(st.floats(0, 0.9))}),
        ("conv1d", {"out_channels": 4, "kernel_size": draw(st.integers(1, 4)), "padding": 1}),
        ("conv2d", {"out_channels": 2, "kernel_size": (3, 2), "padding": (1, 1)}),
        ("gru", {"hidden_size": 3}),
        ("flatten", {}),
        ("scale", {"value": draw(st.floats(-1, 1))}),
        ("mean", {"axes": 1}),
        ("permute", {"order": (1, 0)}),
    ]
    for op, attrs in draw(st.lists(st.sampled_from(steps), min_size=1, max_size=7)):
        try:
            here = g.add(op, here, **attrs)
        except BlueprintError:
            continue
    if here == "x":
        here = g.add("relu", "x")
    return g.finish(here)


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_json_round_trips_to_an_equal_graph_with_equal_text(ir: GraphIR) -> None:
    text = ir.to_json()
    again = GraphIR.from_json(text)
    assert again == ir
    assert again.to_json() == text
    assert hash(again) == hash(ir)
    assert again.specs == ir.specs


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_built_shape_and_cost_are_the_predicted_ones(ir: GraphIR) -> None:
    read = tuple(size or 5 for size in ir.input_spec.shape)
    closed = ir.with_input_shape(read)
    kernel = build(ir, seed=0)
    x = torch.randn(3, *read)
    assert kernel(x).shape == (3, *closed.output_spec.shape)
    assert measured_flops(kernel, x) == 3 * cost(ir, read).flops


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_graph_is_refused_or_read_and_nothing_else(data: st.DataObject) -> None:
    raw = json.loads(data.draw(graphs()).to_json())
    node = data.draw(st.sampled_from(raw["nodes"]))
    junk = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=4)
    )
    where: Any = data.draw(
        st.sampled_from([raw, node, node["attrs"], raw["inputs"], raw["outputs"]])
    )
    key = data.draw(st.sampled_from([*where, "extra"]))
    where[key] = data.draw(st.one_of(junk, st.lists(junk, max_size=3)))
    try:
        ir = GraphIR.from_json(json.dumps(raw))
    except BlueprintError:
        return
    assert GraphIR.from_json(ir.to_json()) == ir


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((Node("a", "lineer", ("x",), {}),), r"'a'.*'lineer'.*Did you mean 'linear'"),
        ((Node("a", "linear", ("x",), {}),), r"'a' \(linear\) lacks .*'out_features'"),
        ((Node("a", "linear", ("x",), {"out_features": 2.0}),), r"'out_features' is 2\.0.*integer"),
        ((Node("a", "linear", ("x",), {"out_features": True}),), r"is True.*an integer"),
        ((Node("a", "linear", ("x",), {"out_features": 0}),), r"is 0.*at least 1"),
        ((Node("a", "linear", ("x",), {"outs": 1}),), r"'a'.*'outs'.*Did you mean 'out_features'"),
        ((Node("a", "dropout", ("x",), {"p": float("nan")}),), r"'p' is nan"),
        ((Node("a", "relu", ("x", "x")),), r"'a' \(relu\) has 2 inputs; give it 1"),
        ((Node("a", "relu", ("z",)),), r"'a' reads 'z', which does not exist"),
        ((Node("a", "relu", ("b",)), Node("b", "relu", ("a",))), r"'a' reads 'b'.*cycle"),
        ((Node("a", "relu", ("a",)),), r"'a' reads 'a'.*cycle"),
        ((Node("a", "relu", ("x",)), Node("a", "relu", ("x",))), r"'a' is used twice"),
        ((Node("x", "relu", ("x",)),), r"'x' is used twice"),
        ((Node("A", "relu", ("x",)),), r"'A' is not allowed"),
        ((Node("forward", "relu", ("x",)),), r"'forward' is taken"),
        ((Node("class", "relu", ("x",)),), r"'class' is taken"),
        (
            (Node("a", "conv1d", ("x",), {"out_channels": 1, "kernel_size": 1}),),
            r"needs at least 2 axes",
        ),
        ((Node("b", "relu", ("x",)), Node("a", "relu", ("x",))), r"'b' reaches no output"),
    ],
)
def test_an_invalid_graph_is_refused_with_node_value_and_remedy(
    nodes: tuple[Node, ...], message: str
) -> None:
    with pytest.raises(BlueprintError, match=message):
        GraphIR(X, nodes, {"y": "a"})


def test_an_output_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BlueprintError, match=r"'y' shows 'z'"):
        GraphIR(X, small().nodes, {"y": "z"})


def test_another_schema_is_refused() -> None:
    with pytest.raises(BlueprintError, match="schema 2"):
        GraphIR(X, small().nodes, {"y": "act"}, schema=2)


def test_a_graph_that_is_too_deep_or_too_large_is_refused() -> None:
    chain = [Node("n0", "relu", ("x",))]
    chain += [Node(f"n{i}", "relu", (f"n{i - 1}",)) for i in range(1, 400)]
    with pytest.raises(BlueprintError, match="400 depth, more than the limit of 256"):
        GraphIR(X, tuple(chain), {"y": "n399"})
    with pytest.raises(BlueprintError, match="600 nodes, more than the limit of 512"):
        GraphIR(X, tuple(chain) + tuple(chain[:200]), {"y": "n0"})
    with pytest.raises(BlueprintError, match="elements, more than the limit"):
        GraphIR(X, (Node("a", "linear", ("x",), {"out_features": 2**30}),), {"y": "a"})


def test_a_graph_from_elsewhere_is_held_to_the_readers_limits() -> None:
    text = small().to_json()
    with pytest.raises(BlueprintError, match="2 nodes, more than the limit of 1"):
        GraphIR.from_json(text, Limits(nodes=1))
    with pytest.raises(BlueprintError, match="bytes long, more than the limit of 10"):
        GraphIR.from_json(text, Limits(text=10))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid UTF-8 JSON"),
        ("[", "not valid UTF-8 JSON"),
        ("[" * 100_000, "nested 100000 deep"),
        ("1" * 5_000, "not valid UTF-8 JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "lacks its field 'schema'"),
        ('{"schema":1,"schema":1}', "'schema' twice"),
        ('{"schema":NaN}', "NaN"),
        ('{"schema":1,"inputs":{},"nodes":[],"outputs":{}}', "no inputs"),
        ('{"schema":true,"inputs":{},"nodes":[],"outputs":{}}', "'schema' = True"),
        ('{"shema":1}', "Did you mean 'schema'"),
    ],
)
def test_a_text_that_is_no_graph_is_refused(text: str, message: str) -> None:
    with pytest.raises(BlueprintError, match=message):
        GraphIR.from_json(text)


def test_defaults_are_written_out_so_that_equal_graphs_have_equal_text() -> None:
    explicit = Node("wide", "linear", ("x",), {"out_features": 4, "bias": True, "init": "default"})
    assert GraphIR(X, (explicit, small().nodes[1]), {"y": "act"}) == small()


def test_every_op_has_a_summary_and_a_name_of_its_own() -> None:
    assert len(VOCABULARY) >= 40
    for name, op in VOCABULARY.items():
        assert op.name == name
        assert op.summary
