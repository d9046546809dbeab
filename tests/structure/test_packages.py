"""A package's `__init__` says what it is and where to start reading, and holds nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from structure import source

INITS = [path for path in source.modules() if path.name == "__init__.py"]
START = re.compile(r"^Start reading at `(?P<first>[^`]+)`")


def _lines(path: Path) -> list[str]:
    docstring = ast.get_docstring(source.tree(path)) or ""
    return [line for line in docstring.splitlines() if line.strip()]


@pytest.mark.parametrize("path", INITS, ids=source.shown)
def test_the_docstring_says_name_and_role_then_where_to_start(path: Path) -> None:
    lines = _lines(path)
    assert len(lines) == 2, f"{source.shown(path)}: two lines wanted, {len(lines)} found"
    name, _, role = lines[0].partition(":" if ":" in lines[0] else ",")
    assert name.strip()
    assert role.strip(), f"{source.shown(path)}: the first line is 'Name: role' or 'Name, the ...'"
    assert START.match(lines[1]), f"{source.shown(path)}: second line 'Start reading at `file.py`.'"


@pytest.mark.parametrize("path", INITS, ids=source.shown)
def test_the_place_to_start_reading_exists(path: Path) -> None:
    match = START.match(_lines(path)[1])
    assert match
    assert (path.parent / match["first"]).is_file(), f"{source.shown(path)}: {match['first']}"


@pytest.mark.parametrize(
    "path", [path for path in INITS if path != source.FACADE], ids=source.shown
)
def test_nothing_but_the_docstring_stands_in_it(path: Path) -> None:
    assert len(source.tree(path).body) == 1, f"{source.shown(path)} holds more than its docstring"


def test_every_folder_with_python_files_is_a_package() -> None:
    folders = {path.parent for path in source.modules()}
    bare = [source.shown(folder) for folder in folders if not (folder / "__init__.py").exists()]
    assert not bare, f"No __init__.py in {bare}"
