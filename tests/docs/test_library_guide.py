"""The guide to the library is followed, command by command."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from docs import pages
from esper.cli.app import app
from support.urza_server import urza_server

pytestmark = pytest.mark.slow

GUIDE = pages.ROOT / "docs" / "guides" / "library.md"
SHOWN = "http://127.0.0.1:8420"
ELSEWHERE = re.compile(
    r"python3 -m pip"  # sets up what the tests run in
    r"|esper urza serve"  # runs for as long as the library is used: the test does it
    r"|\S+ esper tezzeret"  # the same; the forge's own tests run it
    r"|esper train"  # takes minutes; the trainer's own tests run it
)
FIRST_LINE_OF = re.compile(r"(?P<name>\w+)=\$\((?P<command>.*) \| head -n 1\)")


def commands() -> list[str]:
    lines = [line for _, block in pages.blocks(GUIDE, "console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def follow(line: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Do what a shell would do with the few forms that the guide uses; returns what is printed.

    Not a shell: a process for each command would import torch fifteen times.
    """
    if line.startswith("export "):
        for pair in shlex.split(line)[1:]:
            name, _, value = pair.partition("=")
            monkeypatch.setenv(name, value)
        return ""
    if captured := FIRST_LINE_OF.fullmatch(line):
        printed = follow(captured["command"], monkeypatch)
        monkeypatch.setenv(captured["name"], printed.splitlines()[0])
        return printed
    program, *words = shlex.split(os.path.expandvars(line))
    assert program == "esper", line
    result = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert result.exit_code == 0, f"{line}\n{result.output}"
    return result.stdout


def test_the_commands_of_the_guide_work_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = [line for line in commands() if not ELSEWHERE.match(line)]
    assert len(followed) > 10
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ESPER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ESPER_URZA_TOKEN", raising=False)
    with urza_server(tmp_path / "library") as server:
        said = "".join(follow(line.replace(SHOWN, server.url), monkeypatch) for line in followed)
    for part in ("unvalidated", "candidate", "validated", "signed by", ": good ", "alias: edge@"):
        assert part in said
