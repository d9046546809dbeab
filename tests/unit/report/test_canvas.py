from __future__ import annotations

from xml.etree import ElementTree as ET

from matplotlib.figure import Figure

from esper.report.canvas import Drawing
from esper.report.palette import Palette


def sketch(figure: Figure, palette: Palette) -> None:
    axes = figure.add_axes((0, 0, 1, 1))
    axes.plot([0, 1], [0, 1], color=palette.growth, marker="o")
    axes.text(0.5, 0.5, "a < b & c", color=palette.ink)


DRAWING = Drawing(name="sketch", title='a "quoted" title', width=3, height=2, draw=sketch)


def test_the_png_has_the_size_that_was_asked_for() -> None:
    data = DRAWING.png()
    assert data.startswith(b"\x89PNG")
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (480, 320)


def test_the_svg_is_well_formed_and_takes_its_colours_and_size_from_the_page() -> None:
    markup = DRAWING.svg()
    root = ET.fromstring(markup)
    assert root.get("width") is None
    assert root.get("aria-label") == 'a "quoted" title'
    assert "var(--growth)" in markup
    assert "#0e5b" not in markup


def test_the_text_of_an_svg_stays_text() -> None:
    root = ET.fromstring(DRAWING.svg())
    texts = [
        "".join(element.itertext()).strip() for element in root.iter() if "text" in element.tag
    ]
    assert "a < b & c" in texts


def test_ids_are_private_to_a_drawing_and_every_reference_has_its_target() -> None:
    root = ET.fromstring(DRAWING.svg())
    ids = {element.get("id") for element in root.iter() if element.get("id")}
    assert all(name is not None and name.startswith("sketch-") for name in ids)
    links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
    assert links
    assert all(link[1:] in ids for link in links)


def test_the_same_drawing_gives_the_same_bytes() -> None:
    assert DRAWING.svg() == DRAWING.svg()
    assert DRAWING.png() == DRAWING.png()
