"""Reading the source tree for the structure tests: files, syntax trees, functions, classes."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "esper"
FACADE = PACKAGE / "__init__.py"


@dataclass(frozen=True)
class Function:
    """A function or method and where it stands."""

    path: Path
    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef

    def __str__(self) -> str:
        return f"{shown(self.path)}:{self.node.lineno} {self.name}"

    @property
    def lines(self) -> int:
        """Lines from the first statement after the docstring to the last."""
        body = self.node.body
        if ast.get_docstring(self.node) is not None:
            body = body[1:]
        if not body:
            return 0
        return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1


def shown(path: Path) -> str:
    """Return `path` as it is written from the project's root."""
    return path.relative_to(ROOT).as_posix()


@cache
def modules() -> tuple[Path, ...]:
    """Return every Python file of the package, sorted."""
    return tuple(sorted(PACKAGE.rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(path: Path) -> Iterator[Function]:
    """Yield every function and method in a file, nested ones included."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(path, node.name, node)


def classes(path: Path) -> Iterator[ast.ClassDef]:
    """Yield every class in a file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef):
            yield node


@cache
def project_files() -> tuple[Path, ...]:
    """Return every file that belongs to the project: tracked, or new and not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = listing.stdout.decode().split("\0")
    return tuple(sorted({ROOT / name for name in names if name and (ROOT / name).is_file()}))
