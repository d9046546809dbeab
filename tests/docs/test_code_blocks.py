"""Every Python block that people read runs; the blocks of a page run in order, as one program."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer.main
import yaml
from torch.utils.data import DataLoader, TensorDataset
from typer.testing import CliRunner

from docs import pages
from esper.blueprints.library.catalog import SOURCES
from esper.blueprints.library.family import FAMILIES
from esper.blueprints.library.host_copy import CONTROLS
from esper.cli.app import app
from esper.contracts.enums import Role
from esper.execution.conversion import convert
from esper.execution.hosts.host_registry import HOSTS
from esper.services.tolaria.training_config import config_from_mapping
from support.urza_server import urza_server

WITH_CODE = [path for path in pages.WRITTEN if pages.blocks(path, "python")]


@pytest.fixture(autouse=True)
def registries_as_before() -> Iterator[None]:
    # Importing these filled the registries; what a page adds afterwards is its own.
    assert convert
    assert SOURCES
    registries: tuple[Any, ...] = (HOSTS, FAMILIES, CONTROLS)
    before = [dict(registry.items()) for registry in registries]
    yield
    for registry, entries in zip(registries, before, strict=True):
        for key in [key for key in registry if key not in entries]:
            registry._entries.pop(key)


def _readers_own() -> dict[str, Any]:
    """What the README's example takes from its reader: data."""
    x, y = torch.randn(3200, 40), torch.randint(10, (3200,))
    return {
        "x0": x[:2],
        "growth_loader": DataLoader(TensorDataset(x[:200], y[:200]), batch_size=100),
        "train_loader": DataLoader(TensorDataset(x[200:], y[200:]), batch_size=50),
    }


@pytest.fixture
def library(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the guide to the library takes from its reader: a library that runs."""
    if page.name != "library.md":
        yield
        return
    monkeypatch.setenv("ESPER_HOME", str(tmp_path / "home"))
    with urza_server(tmp_path / "library") as server:
        monkeypatch.setenv("ESPER_URZA_URL", server.url)
        monkeypatch.setenv("ESPER_URZA_TOKEN", server.tokens[Role.TRAINER])
        yield


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("page", WITH_CODE, ids=pages.shown)
def test_the_python_blocks_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("URZA_PASSWORD", "")
    torch.manual_seed(0)
    # Line numbers of a traceback are those of the page.
    program = ""
    for number, code in pages.blocks(page, "python"):
        program += "\n" * (number - 1 - program.count("\n")) + code
    script = tmp_path / f"{page.stem}.py"
    script.write_text(program, encoding="utf-8")
    given = _readers_own() if page.name == "README.md" else {}
    runpy.run_path(str(script), init_globals=given, run_name="documented")


def test_the_pages_with_code_were_found() -> None:
    assert {"README.md", "docs/tutorial.md"} <= {pages.shown(path) for path in WITH_CODE}


def _commands() -> list[tuple[str, str]]:
    lines = [
        (pages.shown(path), line.removeprefix("$ ").partition("#")[0].strip())
        for path in pages.PAGES
        for _, block in pages.blocks(path, "console")
        for line in block.splitlines()
    ]
    return [(page, line) for page, line in lines if re.match(r"(\S+/)?esper\b", line)]


@pytest.mark.parametrize(("page", "line"), _commands())
def test_a_command_that_is_shown_has_the_options_that_are_shown(page: str, line: str) -> None:
    command: Any = typer.main.get_command(app)
    for word in shlex.split(line)[1:]:
        if word in getattr(command, "commands", {}):
            known = command.commands[word]
            command = command.load(word) if hasattr(command, "load") else known
        elif word.startswith("-"):
            known = {n for option in command.params for n in (*option.opts, *option.secondary_opts)}
            assert word.partition("=")[0] in {*known, "--help", "-h"}, f"{page}: {line}"


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.shown)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    broken = [
        link
        for link in pages.links(page)
        if not link.startswith("#") and not (page.parent / link.partition("#")[0]).exists()
    ]
    assert not broken


def test_the_makes_that_the_readme_shows_exist() -> None:
    targets = set(re.findall(r"make ([a-z-]+)", (pages.ROOT / "README.md").read_text("utf-8")))
    makefile = (pages.ROOT / "Makefile").read_text("utf-8")
    assert targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def _about_blueprints() -> list[str]:
    lines = {line for _, line in _commands()}
    return sorted(
        line
        for line in lines
        if re.search(r"esper (blueprints (list|show)|kernel build --fam)", line)
    )


@pytest.mark.parametrize("line", _about_blueprints())
def test_a_command_about_blueprints_that_is_shown_succeeds(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line.partition(" > ")[0])[1:]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output


def test_the_settings_that_the_guide_shows_are_accepted() -> None:
    guide = pages.ROOT / "docs" / "guides" / "configuration.md"
    shown = [yaml.safe_load(block) for _, block in pages.blocks(guide, "yaml")]
    assert shown
    for settings in shown:
        assert config_from_mapping({**settings, "output": "runs/shown"})
