"""What the source says, read without running it: classes, functions, fields and their docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "src" / "esper"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Field:
    """One annotated attribute of a class."""

    name: str
    kind: str
    """Its type, as written."""
    default: str | None
    """Its default, as written; None where a value is required."""
    text: str
    """Its docstring."""


@cache
def tree(module: str) -> ast.Module:
    """The syntax tree of `esper.….name`."""
    return ast.parse(path_of(module).read_text(encoding="utf-8"))


def path_of(module: str) -> Path:
    """The file of a module."""
    path = ROOT / "src" / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def link_to(module: str, depth: int) -> str:
    """A relative link from a page `depth` folders below the root to a module's file."""
    return "../" * depth + path_of(module).relative_to(ROOT).as_posix()


def docstring(node: ast.Module | ast.ClassDef | Function) -> str:
    """The docstring, or an empty text."""
    return ast.get_docstring(node) or ""


def first_line(node: ast.Module | ast.ClassDef | Function) -> str:
    """The docstring's summary."""
    return docstring(node).split("\n\n", 1)[0].replace("\n", " ")


def public(module: str) -> Iterator[ast.ClassDef | Function]:
    """The documented classes and functions of a module that begin with no underscore."""
    for node in tree(module).body:
        named = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if named and not node.name.startswith("_") and docstring(node):
            yield node


def class_of(module: str, name: str) -> ast.ClassDef:
    """One class of a module."""
    return next(n for n in tree(module).body if isinstance(n, ast.ClassDef) and n.name == name)


def methods(node: ast.ClassDef) -> Iterator[Function]:
    """The documented methods and properties that begin with no underscore."""
    for child in node.body:
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and not child.name.startswith("_") and docstring(child):
            yield child


def fields(node: ast.ClassDef) -> list[Field]:
    """The annotated attributes of a class that have a docstring, in order."""
    found = []
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if not isinstance(after, ast.Expr) or not isinstance(after.value, ast.Constant):
            continue
        name, text = statement.target.id, str(after.value.value)
        kind = ast.unparse(statement.annotation)
        found.append(Field(name, kind, _default(statement.value), text))
    return found


def _default(value: ast.expr | None) -> str | None:
    if not isinstance(value, ast.Call) or ast.unparse(value.func) not in {"Field", "field"}:
        return None if value is None else ast.unparse(value)
    options = {keyword.arg: keyword.value for keyword in value.keywords}
    if "default" in options:
        return ast.unparse(options["default"])
    factory = options.get("default_factory")
    if factory is None:
        return None
    text = ast.unparse(factory)
    return {"dict": "{}", "utc_now": "now"}.get(text, "new" if "lambda" in text else f"{text}()")


def is_property(node: Function) -> bool:
    """Whether a method is read as an attribute."""
    return any(ast.unparse(d) in {"property", "cached_property"} for d in node.decorator_list)


def signature(node: Function, *, bound: bool = False) -> str:
    """The function's head on one line, or on several where one is too long.

    Args:
        node: The function.
        bound: Whether the first argument, self or cls, is left out.
    """
    arguments = node.args
    if bound and not any(ast.unparse(d) == "staticmethod" for d in node.decorator_list):
        rest = arguments.args[1:]
        arguments = ast.arguments(
            posonlyargs=arguments.posonlyargs,
            args=rest,
            vararg=arguments.vararg,
            kwonlyargs=arguments.kwonlyargs,
            kw_defaults=arguments.kw_defaults,
            kwarg=arguments.kwarg,
            defaults=arguments.defaults,
        )
    prefix = "async def " if isinstance(node, ast.AsyncFunctionDef) else "def "
    returns = "" if node.returns is None else f" -> {ast.unparse(node.returns)}"
    line = f"{prefix}{node.name}({ast.unparse(arguments)}){returns}"
    if len(line) <= 96:
        return line
    parts = _split(ast.unparse(arguments))
    return "\n".join([f"{prefix}{node.name}(", *(f"    {part}," for part in parts), f"){returns}"])


def _split(text: str) -> list[str]:
    """Split at the commas that stand in no bracket."""
    parts, depth, begin = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(text[begin:place].strip())
            begin = place + 1
    return [*parts, text[begin:].strip()]
