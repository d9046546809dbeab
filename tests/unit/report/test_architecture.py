from __future__ import annotations

from esper.contracts.growth import LayerRecord
from esper.report.architecture import MAX_BOXES, architectures, column
from samples.run_folders import grown_report


def test_the_replaced_layer_is_marked_before_and_the_kernel_after() -> None:
    report = grown_report()
    before = column(report.before, report.after)
    after = column(report.after, report.before)
    assert [box.gone for box in before] == [True, False, False, False, False]
    assert [box.grown for box in after] == [True, False, False, False, False]


def test_long_models_fold_what_did_not_change_and_keep_what_did() -> None:
    layers = [
        LayerRecord(name=f"blocks.{i}", kind="Linear", detail="64 → 64", parameters=4_160)
        for i in range(40)
    ]
    grown = LayerRecord(name="blocks.20", kind="glu/s", detail="", parameters=9, grown=True)
    boxes = column([*layers[:20], grown, *layers[21:]], layers)
    assert len(boxes) < MAX_BOXES
    assert sum(box.grown for box in boxes) == 1
    assert [box.title for box in boxes if box.folded] == [
        "20 layers, unchanged",
        "19 layers, unchanged",
    ]


def test_a_record_without_layers_has_no_drawing() -> None:
    assert architectures(grown_report().model_copy(update={"before": ()})) is None


def test_the_drawing_names_every_layer() -> None:
    drawing = architectures(grown_report())
    assert drawing is not None
    markup = drawing.svg()
    for name in ("conv1d_stack/m", "100 → 100", "15,210 parameters", "32,610 parameters"):
        assert name in markup
