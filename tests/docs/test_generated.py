"""The generated parts are what the code says now, and leave nothing out."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import typer.main
from pydantic import BaseModel

import esper
from docs import pages
from esper.blueprints.library.catalog import families
from esper.blueprints.ops.vocabulary import VOCABULARY
from esper.cli.app import app
from esper.cli.exit_codes import MEANINGS
from esper.configs import EsperConfig
from esper.contracts import lifecycle, messages
from esper.contracts.events import AnyEvent
from esper.services.tolaria.training_config import TolariaConfig
from support import forked

REFERENCE = pages.ROOT / "docs" / "reference"


def _read(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def _generate(*arguments: str, where: Path = pages.ROOT) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [sys.executable, "-m", "docs.generate", *arguments],
        cwd=where,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_generated_part_is_stale() -> None:
    result = _generate("--check")
    assert result.returncode == 0, f"Run `make docs`.\n{result.stdout}{result.stderr}"


def _run_settings(kind: Any = TolariaConfig, prefix: str = "") -> list[str]:
    hints = get_type_hints(kind)
    found = []
    for setting in fields(kind):
        found.append(f"{prefix}{setting.name}")
        if is_dataclass(hints[setting.name]):
            found += _run_settings(hints[setting.name], f"{prefix}{setting.name}.")
    return found


def _platform_settings(kind: type[BaseModel] = EsperConfig, prefix: str = "") -> list[str]:
    found = []
    for name, setting in kind.model_fields.items():
        found.append(f"{prefix}{name}")
        nested = [setting.annotation, *get_args(setting.annotation)]
        for inner in nested:
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                middle = "NAME." if get_origin(setting.annotation) is dict else ""
                found += _platform_settings(inner, f"{prefix}{name}.{middle}")
    return found


@pytest.mark.parametrize("key", [*_run_settings(), *_platform_settings()])
def test_every_setting_is_documented(key: str) -> None:
    assert f"| `{key}` |" in _read("settings.md")


def _events() -> list[type[BaseModel]]:
    return list(get_args(get_args(AnyEvent)[0]))


def _commands() -> list[type[BaseModel]]:
    return [messages.OonaMessage, *messages.Command.__subclasses__()]


@pytest.mark.parametrize("kind", [*_events(), *_commands()], ids=lambda kind: kind.__name__)
def test_every_event_and_message_is_documented_with_its_fields(kind: type[BaseModel]) -> None:
    text = _read("messages.md")
    _, found, rest = text.partition(f"### `{kind.__name__}`\n")
    assert found
    section = rest.partition("\n### ")[0]
    common = {"kind", "version", "step"}
    if issubclass(kind, messages.Command):
        common.add("command_id")
    assert all(f"| `{name}` |" in section for name in kind.model_fields if name not in common)


def _cli(command: Any, prefix: str) -> list[tuple[str, Any]]:
    found = [(prefix, command)]
    for name, child in getattr(command, "commands", {}).items():
        loaded = command.load(name) if hasattr(command, "load") else child
        found += _cli(loaded, f"{prefix} {name}")
    return found


@pytest.mark.parametrize(
    ("name", "command"),
    [pytest.param(n, c, id=n) for n, c in _cli(typer.main.get_command(app), "esper")],
)
def test_every_command_is_documented_with_its_options(name: str, command: Any) -> None:
    _, found, rest = _read("commands.md").partition(f"## `{name}`\n")
    assert found
    section = rest.partition("\n## ")[0]
    for option in command.params:
        if option.param_type_name == "option":
            assert all(f"`{spelling}`" in section for spelling in option.opts), option.name


def test_every_exit_code_is_documented() -> None:
    text = _read("commands.md")
    assert all(f"| {code.value} | {meaning} |" in text for code, meaning in MEANINGS.items())


@pytest.mark.parametrize("name", esper.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert f"## `esper.{name}`\n" in _read("api.md")


def test_every_family_and_operation_is_documented() -> None:
    text = _read("blueprints.md")
    assert all(f"| `{name}` |" in text for name in [*families(), *VOCABULARY])


def test_the_lifecycle_that_is_drawn_is_the_one_that_is_obeyed() -> None:
    text = (pages.ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{lifecycle.diagram()}\n```" in text
