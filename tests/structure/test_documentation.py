"""Every setting and every field of a message is documented where it is defined."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from structure import source


def _settings() -> list[tuple[Path, ast.ClassDef]]:
    return [
        (path, node)
        for path in source.modules()
        for node in source.classes(path)
        if not node.name.startswith("_")
        and (path.parent.name == "contracts" or path.stem in {"config", "configs"})
    ]


def _undocumented(node: ast.ClassDef) -> list[str]:
    missing = []
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        documented = (
            isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        )
        if not documented and not statement.target.id.startswith("_"):
            missing.append(statement.target.id)
    return missing


@pytest.mark.parametrize(
    ("path", "node"),
    [pytest.param(path, node, id=f"{path.stem}.{node.name}") for path, node in _settings()],
)
def test_every_field_has_a_docstring(path: Path, node: ast.ClassDef) -> None:
    missing = _undocumented(node)
    assert not missing, f"{source.shown(path)}, {node.name}: document {missing}"


def test_the_settings_were_found() -> None:
    assert len(_settings()) > 20


def test_every_public_name_of_the_facade_exists_and_is_documented() -> None:
    esper = importlib.import_module("esper")
    for name in esper.__all__:
        value = getattr(esper, name)
        assert name.startswith("__") or (value.__doc__ or "").strip(), f"esper.{name}"
