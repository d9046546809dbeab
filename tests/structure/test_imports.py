"""Imports point down, stand on top of the file, and name the file that defines what they want."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from structure import source


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.walk(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child


def _targets(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{node.module}.{alias.name}" for alias in node.names]


def test_no_function_imports_our_own_code() -> None:
    found = [
        f"{function} imports {target}"
        for path in source.modules()
        for function in source.functions(path)
        for node in _imports(function.node)
        for target in _targets(node)
        if target.split(".")[0] == "esper"
    ]
    assert not found, found


def test_no_file_inside_the_package_imports_a_facade() -> None:
    packages = {
        ".".join(path.parent.relative_to(source.PACKAGE.parent).parts): path.parent
        for path in source.modules()
        if path.name == "__init__.py"
    }
    found = []
    for path in source.modules():
        for node in _imports(source.tree(path)):
            if isinstance(node, ast.Import):
                found += [
                    f"{source.shown(path)}: {n.name}" for n in node.names if n.name in packages
                ]
            elif node.module in packages:
                folder = packages[node.module]
                found += [
                    f"{source.shown(path)}: {node.module}.{alias.name}"
                    for alias in node.names
                    if not (folder / f"{alias.name}.py").exists()
                    and not (folder / alias.name / "__init__.py").exists()
                ]
    assert not found, f"Import the file that defines the name: {found}"


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert command, "import-linter is not installed beside this Python"
    return subprocess.run(
        [command, "--no-logo", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied_project(tmp_path: Path) -> Path:
    shutil.copytree(
        source.PACKAGE,
        tmp_path / "src" / "esper",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(source.ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_import_contracts_hold(copied_project: Path) -> None:
    result = _lint(copied_project)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("planted_in", "line", "broken"),
    [
        ("contracts/planted.py", "import torch", "No torch, SQL or Redis in the ground BROKEN"),
        ("utils/planted.py", "import esper.core.model_wrapper", "Imports point down BROKEN"),
        ("blueprints/planted.py", "import esper.execution.seed", "Imports point down BROKEN"),
        (
            "services/urza/planted.py",
            "import esper.blueprints.build",
            "No torch where kernels are only kept, priced, carried or watched BROKEN",
        ),
        (
            "services/second/planted.py",
            "import esper.services.tolaria.trainer",
            "Services never import each other BROKEN",
        ),
    ],
)
def test_a_planted_violation_is_found(
    copied_project: Path, planted_in: str, line: str, broken: str
) -> None:
    file = copied_project / "src" / "esper" / planted_in
    file.parent.mkdir(exist_ok=True)
    (file.parent / "__init__.py").touch()
    file.write_text(f"{line}\n", encoding="utf-8")
    result = _lint(copied_project)
    assert result.returncode != 0
    assert broken in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize(
    "module",
    [
        "esper",
        "esper.configs",
        "esper.contracts.ports",
        "esper.contracts.events",
        "esper.services.urza.urza_app",
        "esper.services.nissa.nissa_app",
        "esper.dashboard.mount",
        "esper.hosting.platform",
    ],
)
def test_the_ground_and_what_only_keeps_or_watches_come_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], check=False)
    assert result.returncode == 0


def _declared() -> set[str]:
    text = (source.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    # What only developers need is no licence for the package to import it.
    extras = {
        name: lines for name, lines in project["optional-dependencies"].items() if name != "dev"
    }
    lines = project["dependencies"] + [line for extra in extras.values() for line in extra]
    names = [re.match(r"[\w.-]+", line) for line in lines]
    return {match[0].lower().replace("_", "-") for match in names if match}


def test_every_package_that_is_imported_is_declared() -> None:
    owners = importlib.metadata.packages_distributions()
    imported = {
        target.split(".")[0]
        for path in source.modules()
        for node in _imports(source.tree(path))
        for target in _targets(node)
    } - set(sys.stdlib_module_names)
    declared = _declared()
    undeclared = {
        name
        for name in imported - {"esper"}
        if not {owner.lower().replace("_", "-") for owner in owners.get(name, ())} & declared
    }
    assert not undeclared, f"Add to pyproject.toml: {sorted(undeclared)}"
