from __future__ import annotations

from dataclasses import replace

from torch import nn

from esper.blueprints.geometry import Geometry
from esper.blueprints.graph_weights import describe
from esper.blueprints.library.catalog import candidate
from esper.contracts.enums import KernelMode, Layout
from esper.contracts.growth import LayerRecord
from esper.contracts.records import parse_record
from esper.report.network import kernel_lines, layer_text, network
from esper.report.run_account import RunAccount
from esper.report.slot_lives import slot_lives
from support import told_runs


def drawn(run: RunAccount) -> list[list[str]]:
    return [[node.name for node in group.nodes] for group in network(run, slot_lives(run))]


def test_layers_stand_in_the_order_of_the_model() -> None:
    assert drawn(told_runs.finished()) == [["0"], ["1"], ["2"], ["3"], ["4"]]


def test_a_layer_with_a_kernel_says_what_the_kernel_computes() -> None:
    run = told_runs.finished()
    first = network(run, slot_lives(run))[0].nodes[0]
    assert first.kernel is not None
    assert first.kernel.blueprint == told_runs.WINNER.candidate
    assert first.kernel_text
    assert [life.key for life in first.told] == ["0#0"]
    assert [life.key for life in first.spare] == ["0#1"]


def test_a_layer_without_a_slot_cannot_grow() -> None:
    run = told_runs.finished()
    relu = network(run, slot_lives(run))[1].nodes[0]
    assert (relu.slots, relu.kernel, relu.told, relu.spare) == ([], None, [], [])


def test_layers_of_one_numbered_block_stand_together() -> None:
    names = ["embed", "blocks.0.query", "blocks.0.key", "blocks.1.query", "head"]
    layers = [{"name": n, "kind": "Linear", "detail": "", "parameters": 1} for n in names]
    start = told_runs.start(host={"parameters": 5, "layers": layers, "slots": {}})
    run = replace(told_runs.account(), lines=(parse_record(start),))
    groups = network(run, {})
    assert [group.name for group in groups] == ["", "blocks.0", "blocks.1", ""]
    assert [node.short for node in groups[1].nodes] == ["query", "key"]


def test_a_model_that_never_introduced_itself_is_drawn_by_its_slots() -> None:
    run = told_runs.account(told_runs.race_lines())
    bare = replace(run, lines=run.lines[1:])
    assert drawn(bare) == [["0"], ["2"]]


def test_a_linear_layer_is_written_as_what_it_maps_to_what() -> None:
    detail = nn.Linear(40, 100).extra_repr()
    layer = LayerRecord(name="0", kind="Linear", detail=detail, parameters=4_100)
    assert layer_text(layer) == "40 → 100"


def test_a_layer_in_another_form_is_left_as_torch_describes_it() -> None:
    detail = nn.Conv2d(3, 8, 3).extra_repr()
    layer = LayerRecord(name="0", kind="Conv2d", detail=detail, parameters=1)
    assert layer_text(layer) == detail


def test_a_kernel_of_the_library_takes_one_line_for_each_change_of_shape() -> None:
    geometry = Geometry(host="linear", layout=Layout.FLAT, input_shape=(40,), output_shape=(100,))
    ir = candidate(geometry, "conv1d", "small", KernelMode.REPLACING).ir
    lines = kernel_lines(describe(ir))
    assert lines[1] == "conv1d k5 s2, batch_norm1d, relu → 12 × 20"
    assert lines[-1] == "linear → 100"
    assert len(lines) < len(ir.nodes)


def test_a_description_that_is_no_graph_is_left_as_it_is() -> None:
    assert kernel_lines("reshape, conv\nlinear") == ["reshape, conv", "linear"]
