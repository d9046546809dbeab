from __future__ import annotations

from typing import Any

import pytest

from esper.blueprints.host_types import HOST_TYPES
from esper.cli.place import LAYOUTS, Place, known_shape, parse_shape
from esper.contracts.enums import Layout
from esper.contracts.errors import ConfigError


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
    flat = Place(host="linear", input_shape="784", source_shape="1x28x28").geometry()
    tokens = Place(host="linear", input_shape="?x64", causal=True).geometry()
    assert flat is not None
    assert tokens is not None
    assert (flat.layout, flat.source_shape) == (Layout.FLAT, (1, 28, 28))
    assert (tokens.layout, tokens.causal) == (Layout.TOKENS, True)


def test_no_option_means_no_place() -> None:
    assert Place().geometry() is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"host": "linera", "input_shape": "3"}, "linear"),
        ({"host": "linear"}, "needs --input"),
        ({"host": "conv2d", "input_shape": "3x3"}, "reads 3"),
        ({"output_shape": "3"}, "needs --input"),
        ({"causal": True}, "needs --input"),
    ],
)
def test_a_place_that_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Place(**given).geometry()


def test_an_embedding_reads_single_ids() -> None:
    ids = Place(host="embedding", input_shape="", vocabulary=9).geometry()
    assert ids is not None
    assert (ids.layout, ids.vocabulary) == (Layout.IDS, 9)
