from __future__ import annotations

import json

from typer.testing import CliRunner

from esper.blueprints.library.catalog import families
from esper.cli.app import app

PLACE = ["--host", "linear", "--input", "40", "--output-shape", "100"]


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["blueprints", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def test_the_list_names_every_family() -> None:
    listed = json.loads(said("list", "--json"))
    assert [entry["family"] for entry in listed] == list(families())


def test_with_a_place_the_list_holds_what_fits_with_its_cost() -> None:
    fitting = json.loads(said("list", "--json", *PLACE))
    assert {"conv1d", "low-rank"} <= {entry["family"] for entry in fitting}
    assert "conv2d" not in {entry["family"] for entry in fitting}
    assert all(entry["parameters"] > 0 for entry in fitting)


def test_a_flattened_image_admits_two_dimensional_kernels() -> None:
    place = ["--host", "linear", "--input", "784", "--output-shape", "10", "--source", "1x28x28"]
    fitting = json.loads(said("list", "--json", *place))
    assert "conv2d" in {entry["family"] for entry in fitting}


def test_show_describes_a_family_and_its_graph_at_a_place() -> None:
    assert families()["low-rank"].summary in said("show", "low-rank")
    assert "linear_2 = linear" in said("show", "low-rank", *PLACE)


def test_a_family_that_does_not_fit_is_a_usage_error() -> None:
    result = CliRunner().invoke(app, ["blueprints", "show", "conv2d", *PLACE])
    assert result.exit_code == 2
    assert "does not fit" in result.output
