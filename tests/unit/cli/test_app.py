from __future__ import annotations

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


def test_help_imports_nothing_that_takes_long() -> None:
    code = (
        "import sys\n"
        "from esper.cli.main import main\n"
        "sys.argv[1:] = ['--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    heavy = {'torch', 'numpy', 'matplotlib', 'sqlalchemy', 'alembic',\n"
        "        'fastapi', 'starlette', 'uvicorn', 'nicegui', 'httpx', 'redis', 'jinja2', 'obstore',\n"
        "        'safetensors', 'cryptography', 'opentelemetry', 'prometheus_client'}\n"
        "    found = heavy & set(sys.modules)\n"
        "    sys.exit(f'imported {found}' if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "Usage" in done.stdout


def test_completion_is_offered_for_bash() -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "esper.cli"],
        env={"_ESPER_COMPLETE": "complete_bash", "COMP_WORDS": "esper bl", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "blueprints" in completed.stdout
