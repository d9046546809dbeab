from __future__ import annotations

import pytest

from esper.blueprints.host_types import HOST_TYPES
from esper.cli.requests import GeometryRequest
from esper.cli.shapes import LAYOUTS, known_shape, parse_shape, read_geometry
from esper.contracts.enums import Layout
from esper.contracts.errors import ConfigError


def asked(**given: object) -> GeometryRequest:
    nothing: dict[str, object] = {
        "host": None,
        "input_shape": None,
        "output_shape": None,
        "source_shape": None,
        "causal": False,
        "vocabulary": None,
    }
    return GeometryRequest(**(nothing | given))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "shape"),
    [("40", (40,)), ("3x32x32", (3, 32, 32)), ("?x64", (None, 64)), ("3,8", (3, 8)), ("", ())],
)
def test_shapes_are_read_as_people_write_them(text: str, shape: tuple[int | None, ...]) -> None:
    assert parse_shape(text, "--input") == shape


@pytest.mark.parametrize("text", ["x", "0", "-3", "3x", "a", "1.5"])
def test_what_is_no_shape_is_refused_with_the_option_and_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--input .*like 40"):
        parse_shape(text, "--input")


def test_an_open_size_is_refused_where_it_must_be_known() -> None:
    with pytest.raises(ConfigError, match="must be a number"):
        known_shape("?x3", "--source")


def test_every_host_type_can_be_named() -> None:
    assert set(LAYOUTS) >= {kind.host for kind in HOST_TYPES.values()}


def test_a_geometry_takes_its_layout_from_the_host_and_the_number_of_axes() -> None:
    flat = read_geometry(asked(host="linear", input_shape="784", source_shape="1x28x28"))
    tokens = read_geometry(asked(host="linear", input_shape="?x64", causal=True))
    assert flat is not None
    assert tokens is not None
    assert (flat.layout, flat.source_shape) == (Layout.FLAT, (1, 28, 28))
    assert (tokens.layout, tokens.causal) == (Layout.TOKENS, True)


def test_no_option_means_no_place() -> None:
    assert read_geometry(asked()) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"host": "linera", "input_shape": "3"}, "linear"),
        ({"host": "linear"}, "needs --input"),
        ({"host": "conv2d", "input_shape": "3x3"}, "reads 3"),
    ],
)
def test_a_place_that_cannot_be_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_geometry(asked(**given))
