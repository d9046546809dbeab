from __future__ import annotations

from esper.contracts.records import parse_record
from esper.dashboard.views.network import network
from esper.dashboard.views.picture import RunPicture
from esper.dashboard.views.slot_view import slot_lives
from support import told_runs


def drawn(picture: RunPicture) -> list[list[str]]:
    return [[node.name for node in group.nodes] for group in network(picture, slot_lives(picture))]


def test_layers_stand_in_the_order_of_the_model() -> None:
    assert drawn(told_runs.finished()) == [["0"], ["1"], ["2"], ["3"], ["4"]]


def test_a_layer_with_a_kernel_says_what_the_kernel_computes() -> None:
    picture = told_runs.finished()
    first = network(picture, slot_lives(picture))[0].nodes[0]
    assert first.kernel is not None
    assert first.kernel.blueprint == told_runs.WINNER.candidate
    assert first.kernel_text
    assert [life.key for life in first.told] == ["0#0"]
    assert [life.key for life in first.spare] == ["0#1"]


def test_a_layer_without_a_slot_cannot_grow() -> None:
    picture = told_runs.finished()
    relu = network(picture, slot_lives(picture))[1].nodes[0]
    assert (relu.slots, relu.kernel, relu.told, relu.spare) == ([], None, [], [])


def test_layers_of_one_numbered_block_stand_together() -> None:
    names = ["embed", "blocks.0.query", "blocks.0.key", "blocks.1.query", "head"]
    layers = [{"name": n, "kind": "Linear", "detail": "", "parameters": 1} for n in names]
    start = told_runs.start(host={"parameters": 5, "layers": layers, "slots": {}})
    picture = RunPicture(summary=told_runs.summary(), lines=(parse_record(start),))
    groups = network(picture, {})
    assert [group.name for group in groups] == ["", "blocks.0", "blocks.1", ""]
    assert [node.short for node in groups[1].nodes] == ["query", "key"]


def test_a_model_that_never_introduced_itself_is_drawn_by_its_slots() -> None:
    picture = told_runs.picture(told_runs.race_lines())
    bare = RunPicture(summary=picture.summary, lines=picture.lines[1:])
    assert drawn(bare) == [["0"], ["2"]]
