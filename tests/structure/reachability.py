"""Which definitions of the package a user's path reaches: a graph of names over syntax trees.

A definition is reached when something reached names it. Paths begin at the facade, at the commands
and at the integrations; what a module does while it is imported, registrations above all, counts as
soon as anything of that module is reached. Names are resolved through imports, not types, so a use
that is only an annotation counts as well: this finds what nobody names, not what nobody calls.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Place = tuple[str, str]
"""Module and name of a definition; an empty name is what the module does when it is imported."""


@dataclass
class Module:
    """What one file defines and names."""

    name: str
    definitions: dict[str, ast.stmt] = field(default_factory=dict)
    rest: list[ast.stmt] = field(default_factory=list)
    imports: dict[str, Place] = field(default_factory=dict)
    """Local name: module and the name in it; an empty one stands for the module itself."""


def read(name: str, tree: ast.Module) -> Module:
    """Take a file apart."""
    module = Module(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                module.imports[alias.asname or alias.name] = (node.module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                module.imports[alias.asname or alias.name] = (alias.name, "")
    for statement in tree.body:
        named = _names_of(statement)
        for one in named:
            module.definitions[one] = statement
        if not named:
            module.rest.append(statement)
        elif _is_registered(statement):
            module.rest.append(ast.Expr(ast.Name(named[0])))
    return module


def _is_registered(statement: ast.stmt) -> bool:
    """Whether a decorator hands the definition to somebody: a registry, a router, a group."""
    match statement:
        case ast.ClassDef():
            return any("dataclass" not in ast.unparse(d) for d in statement.decorator_list)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return any(isinstance(d, ast.Call) for d in statement.decorator_list)
        case _:
            return False


def _names_of(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [t.id for t in targets if isinstance(t, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def reached(modules: Mapping[str, Module], roots: Iterator[Place] | list[Place]) -> set[Place]:
    """Every definition that a path from ``roots`` comes to."""
    found: set[Place] = set()
    waiting = list(roots)
    while waiting:
        place = waiting.pop()
        if place in found:
            continue
        found.add(place)
        module = modules.get(place[0])
        if module is None:
            continue
        waiting.append((module.name, ""))
        waiting.extend((_resolved(modules, i)[0], "") for i in module.imports.values())
        statements = module.rest if not place[1] else [module.definitions.get(place[1])]
        for statement in statements:
            if statement is not None:
                waiting.extend(_named(modules, module, statement))
        if place[1] and place[1] not in module.definitions and place[1] in module.imports:
            waiting.append(_resolved(modules, module.imports[place[1]]))
    return found


def _named(modules: Mapping[str, Module], module: Module, statement: ast.stmt) -> Iterator[Place]:
    for node in ast.walk(statement):
        match node:
            case ast.Name(id=name):
                yield from _meant(modules, module, name)
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner in module.imports:
                where, within = _resolved(modules, module.imports[owner])
                if not within:
                    yield where, name
            case ast.Constant(value=str(text)):
                yield from _meant(modules, module, text)  # an annotation in quotes
                if text in modules:  # loaded by name: anything of it may be used
                    yield from ((text, name) for name in modules[text].definitions)
                for separator in (":", "."):  # a target by name: "esper.cli.train:train"
                    owner, _, name = text.rpartition(separator)
                    if owner in modules:
                        yield owner, name


def _meant(modules: Mapping[str, Module], module: Module, name: str) -> Iterator[Place]:
    if name in module.definitions:
        yield module.name, name
    elif name in module.imports:
        yield _resolved(modules, module.imports[name])


def _resolved(modules: Mapping[str, Module], place: Place) -> Place:
    """The place itself, or the submodule that its name means."""
    submodule = f"{place[0]}.{place[1]}"
    return (submodule, "") if submodule in modules else place
