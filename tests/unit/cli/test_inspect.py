from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from esper.cli.app import app


def said(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["inspect", *arguments])
    return result.exit_code, result.output


def test_a_quick_start_is_shown_with_its_slots_and_costs() -> None:
    status, text = said("digits", "--json")
    found = json.loads(text)
    assert status == 0
    assert found["parameters"] == 8_970
    assert found["flops_per_sample"] == 2 * (64 * 64 + 64 * 64 + 64 * 10)
    assert [slot["state"] for slot in found["layers"]["0"]["slots"]] == ["dormant"] * 4
    assert found["layers"]["0"]["reads"] == "flat 64 → 64"


def test_a_model_of_ones_own_is_traced_when_its_input_is_known() -> None:
    factory = "samples.models:small"
    assert "flat 6 → 4" in said(factory, "--input", "6")[1]
    assert "FLOPs not traced" in said(factory)[1]


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("nonsense", "no run folder"),
        ("samples.models:nothing", "has no function"),
        ("no_such_module:build", "no module"),
        ("samples.models:no_module", "must return an nn.Module"),
    ],
)
def test_what_cannot_be_looked_into_is_a_usage_error(target: str, part: str) -> None:
    status, text = said(target)
    assert status == 2
    assert part in text


def test_a_kernel_is_pointed_to_the_command_that_looks_into_it(tmp_path: Path) -> None:
    file = tmp_path / "k.safetensors"
    file.touch()
    for target in (str(file), "ab" * 32):
        status, text = said(target)
        assert status == 4
        assert f"esper kernel show {target}" in text.replace("\n", "")


def test_an_input_that_is_known_is_not_taken_from_the_command_line() -> None:
    status, text = said("digits", "--input", "64")
    assert status == 2
    assert "--input" in text
