from __future__ import annotations

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from esper.cli.app import app
from esper.cli.exit_codes import MEANINGS
from esper.contracts.version import VERSION

COMMANDS = (
    ("train",),
    ("inspect",),
    ("blueprints", "list"),
    ("blueprints", "show"),
    ("kernel", "build"),
    ("kernel", "show"),
    ("kernel", "verify"),
    ("export",),
    ("report",),
    ("doctor",),
)
LISTINGS = (
    ("status",),
    ("inspect",),
    ("doctor",),
    ("runs", "list"),
    ("runs", "show"),
    ("runs", "compare"),
    ("blueprints", "list"),
    ("blueprints", "show"),
    ("blueprints", "search"),
    ("kernel", "show"),
    ("kernel", "search"),
    ("kernel", "lineage"),
    ("bus", "tail"),
    ("bus", "replay"),
    ("bus", "stats"),
    ("bus", "dead", "list"),
    ("urza", "audit"),
    ("urza", "token", "list"),
)


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_examples(command: tuple[str, ...]) -> None:
    text = said(*command, "--help")
    assert "Examples" in text
    assert f"$ esper {' '.join(command)}" in text


@pytest.mark.parametrize("command", LISTINGS, ids=" ".join)
def test_every_listing_can_be_read_by_a_program(command: tuple[str, ...]) -> None:
    assert "--json" in said(*command, "--help")


def test_the_main_help_documents_every_exit_code() -> None:
    text = said("--help")
    for code, meaning in MEANINGS.items():
        assert f"{code.value}  {meaning}" in text


def test_the_version_is_that_of_the_package() -> None:
    assert said("--version").strip() == f"esper {VERSION}"


def test_a_typing_mistake_is_a_usage_error() -> None:
    assert CliRunner().invoke(app, ["train", "--stepz", "3"]).exit_code == 2


def test_the_command_tree_does_not_import_torch() -> None:
    code = (
        "import sys, esper.cli.main; "
        "heavy = {'torch', 'numpy', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_takes_less_than_half_a_second_of_the_processor() -> None:
    def seconds() -> float:
        before = os.times()
        command = [sys.executable, "-m", "esper.cli", "--help"]
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        return (after.children_user + after.children_system) - (
            before.children_user + before.children_system
        )

    # Processor time, and the best of three: what else the machine does is not what is tested.
    assert min(seconds() for _ in range(3)) < 0.5


def test_completion_is_offered_for_bash() -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "esper.cli"],
        env={"_ESPER_COMPLETE": "complete_bash", "COMP_WORDS": "esper bl", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "blueprints" in completed.stdout
