from __future__ import annotations

from torch import nn

from esper.blueprints.geometry import Geometry
from esper.blueprints.graph_weights import describe
from esper.blueprints.library.catalog import candidate
from esper.contracts.enums import KernelMode, Layout
from esper.contracts.growth import LayerRecord
from esper.report.layer_text import kernel_lines, layer_text


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
