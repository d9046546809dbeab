"""The API reference: `esper`'s own names in full, then the modules behind them."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil

from docs.generator.prose import inline, markdown
from docs.generator.source import (
    PACKAGE,
    Function,
    class_of,
    docstring,
    fields,
    first_line,
    is_property,
    link_to,
    methods,
    path_of,
    public,
    signature,
    tree,
)

import esper

DEPTH = 2
"""Folders between the root and a reference page."""

LIBRARY = {
    "Lifecycle, errors and ports": (
        "esper.contracts.lifecycle",
        "esper.contracts.errors",
        "esper.contracts.ports",
    ),
    "Blueprints": (
        "esper.blueprints.geometry",
        "esper.blueprints.ir",
        "esper.blueprints.builder",
        "esper.blueprints.build",
        "esper.blueprints.graph_weights",
        "esper.blueprints.cost",
        "esper.blueprints.flops",
        "esper.blueprints.library.family",
        "esper.blueprints.library.catalog",
    ),
    "Kernels and layers": (
        "esper.execution.conversion",
        "esper.execution.artifact",
        "esper.execution.artifact_check",
        "esper.execution.kernel_store",
        "esper.execution.kernel_cache",
        "esper.execution.kernel_tiers",
        "esper.execution.redis_tier",
        "esper.execution.signatures",
        "esper.execution.trust",
        "esper.execution.compatibility",
        "esper.execution.kernel_executor",
        "esper.execution.health",
        "esper.execution.health_monitor",
        "esper.execution.error_recovery",
        "esper.execution.error_tracker",
    ),
    "Models, optimizers, checkpoints": (
        "esper.core.optimizer",
        "esper.core.checkpoint",
    ),
    "Growth": (
        "esper.orchestration.controller",
        "esper.orchestration.strategies",
        "esper.orchestration.counterfactual",
        "esper.orchestration.schedule",
        "esper.orchestration.performance",
        "esper.orchestration.blueprint_registry",
    ),
    "Data and training": (
        "esper.data.bundle",
        "esper.data.task",
        "esper.data.catalog",
        "esper.services.tolaria.trainer",
    ),
}
"""The modules that a program outside Esper may want to import from."""


def facade() -> str:
    """The page about the names in `esper.__all__`."""
    parts = [
        "# API reference\n",
        (
            "The names that `import esper` gives. Each is imported when it is first used, so the "
            "import itself is light.\nWithin `esper.__api_version__ == "
            f'"{esper.__api_version__}"` they keep their meaning. What stands behind them is in\n'
            "[the library reference](library.md); every module is listed in [the map](modules.md).\n"
        ),
    ]
    parts += [_version(n) if n.startswith("__") else _facade_entry(n) for n in esper.__all__]
    return "\n".join(parts)


def _version(name: str) -> str:
    meaning = {
        "__version__": "Version of the package.",
        "__api_version__": "Version of the documented names; it changes only when one is broken.",
    }
    return f"## `esper.{name}`\n\n{meaning[name]}\n"


def _facade_entry(name: str) -> str:
    value = getattr(esper, name)
    module = value.__module__
    node = next(n for n in tree(module).body if getattr(n, "name", None) == name)
    where = f"Defined in [`{module}`]({link_to(module, DEPTH)}).\n"
    if not isinstance(node, ast.ClassDef):
        return f"## `esper.{name}`\n\n{where}\n{_function(node)}"
    parts = [f"## `esper.{name}`\n\n{where}\n{_class(module, node, level=3)}"]
    for ancestor in inspect.getmro(value)[1:]:
        if ancestor.__module__.startswith("esper.") and docstring_of(ancestor):
            inherited = class_of(ancestor.__module__, ancestor.__name__)
            parts += [_method(m, level=3) for m in methods(inherited)]
    return "\n".join(parts)


def docstring_of(kind: type) -> str:
    """The class's own docstring."""
    return docstring(class_of(kind.__module__, kind.__name__))


def library() -> str:
    """The page about the modules in `LIBRARY`."""
    parts = [
        "# Library reference\n",
        (
            "What a program may use besides [the names of `esper`](api.md): import it from the module "
            "that is named here.\n"
        ),
    ]
    for title, modules in LIBRARY.items():
        parts.append(f"## {title}\n")
        for module in modules:
            parts.append(f"### `{module}`\n\n{markdown(docstring(tree(module)))}\n")
            for node in public(module):
                if isinstance(node, ast.ClassDef):
                    heading = f"#### class `{node.name}`\n"
                    parts.append(f"{heading}\n{_class(module, node, level=5)}")
                else:
                    parts.append(f"#### `{node.name}`\n\n{_function(node)}")
    return "\n".join(parts)


def modules() -> str:
    """The page that lists every module with its first line."""
    parts = ["# Map of the modules\n", "Every file of the package, with its own first line.\n"]
    names = [
        "esper",
        *sorted(module.name for module in pkgutil.walk_packages([str(PACKAGE)], "esper.")),
    ]
    packages = [name for name in names if path_of(name).name == "__init__.py"]
    for package in packages:
        inside = [n for n in names if n.rpartition(".")[0] == package and n not in packages]
        parts.append(f"## `{package}`\n\n{inline(first_line(tree(package)))}\n")
        lines = [
            f"- [`{n.rpartition('.')[2]}`]({link_to(n, DEPTH)}): {inline(first_line(tree(n)))}"
            for n in inside
        ]
        parts.append("\n".join(lines) + ("\n" if lines else ""))
    return "\n".join(parts).rstrip() + "\n"


def _class(module: str, node: ast.ClassDef, *, level: int) -> str:
    parts = [_constructor(node), markdown(docstring(node)) + "\n"]
    listed = [
        f"- `{f.name}: {f.kind}{'' if f.default is None else f' = {f.default}'}`: "
        f"{inline(' '.join(f.text.split()))}"
        for f in fields(node)
        if not f.name.startswith("_")
    ]
    if listed:
        parts.append("\n".join(listed) + "\n")
    parts += [_method(m, level=level) for m in methods(node)]
    return "\n".join(part for part in parts if part)


def _constructor(node: ast.ClassDef) -> str:
    for child in node.body:
        if isinstance(child, ast.FunctionDef) and child.name == "__init__":
            head = signature(child, bound=True)
            head = head.removeprefix("def __init__").removesuffix(" -> None")
            return f"```python\n{node.name}{head}\n```\n"
    return ""


def _function(node: Function) -> str:
    return f"```python\n{signature(node)}\n```\n\n{markdown(docstring(node))}\n"


def _method(node: Function, *, level: int) -> str:
    heading = f"{'#' * level} `{node.name}`"
    if is_property(node):
        returns = "" if node.returns is None else f" `{ast.unparse(node.returns)}`"
        return f"{heading}\n\n*property*{returns}. {markdown(docstring(node))}\n"
    head = signature(node, bound=True)
    return f"{heading}\n\n```python\n{head}\n```\n\n{markdown(docstring(node))}\n"


def known_modules() -> list[str]:
    """The modules of `LIBRARY`, each importable."""
    names = [module for group in LIBRARY.values() for module in group]
    for name in names:
        importlib.import_module(name)
    return names
