"""No green test of a dead path: every event is constructed, every field set, every class reached."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache

from esper.contracts import events
from esper.contracts.operational import GrowthObservation
from structure import source
from structure.reachability import Module, Place, reached, read

ROOTS = ("esper", "esper.cli", "esper.integrations", "esper.__main__")
"""Modules, with those below them, in which users' paths begin."""

UNREACHED = {
    "esper.contracts.assets.Seed": "document 002 names it; a layer's own seeds are `execution/seed.py`",
}
"""Public classes that nobody reaches yet, each with the reason why it stays."""


def name_of(path: object) -> str:
    parts = source.shown(path).removeprefix("src/").removesuffix(".py").split("/")  # type: ignore[arg-type]  # a Path
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def package() -> dict[str, Module]:
    return {name_of(path): read(name_of(path), source.tree(path)) for path in source.modules()}


def roots(modules: dict[str, Module]) -> list[Place]:
    below = [
        module
        for name, module in modules.items()
        if name == "esper" or any(f"{name}.".startswith(f"{root}.") for root in ROOTS[1:])
    ]
    places = [(module.name, name) for module in below for name in (*module.definitions, "")]
    facade = modules.get("esper")
    if facade is not None:
        places += facade.imports.values()
    return places


def unreached(modules: dict[str, Module]) -> list[str]:
    found = reached(modules, roots(modules))
    return sorted(
        f"{module.name}.{name}"
        for module in modules.values()
        for name, statement in module.definitions.items()
        if isinstance(statement, ast.ClassDef)
        and not name.startswith("_")
        and (module.name, name) not in found
    )


def constructed(trees: Iterable[ast.Module]) -> set[str]:
    """Names that are called anywhere."""
    return {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    }


def keywords(trees: Iterable[ast.Module], name: str) -> set[str]:
    """Keywords that some call of a name is given."""
    return {
        keyword.arg
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
        for keyword in node.keywords
        if keyword.arg is not None
    }


def event_classes() -> set[str]:
    return {
        name
        for name, kind in vars(events).items()
        if isinstance(kind, type) and issubclass(kind, events.Event) and not kind.__subclasses__()
    }


def trees() -> list[ast.Module]:
    return [source.tree(path) for path in source.modules()]


def test_every_event_is_constructed_somewhere() -> None:
    assert len(event_classes()) > 10
    assert event_classes() - constructed(trees()) == set()


def test_every_field_of_an_observation_is_set() -> None:
    assert set(GrowthObservation.model_fields) - keywords(trees(), "GrowthObservation") == set()


def test_every_public_class_is_reached_from_the_facade_a_command_or_an_integration() -> None:
    assert [name for name in unreached(package()) if name not in UNREACHED] == []


def test_the_exceptions_are_still_exceptions() -> None:
    assert sorted(set(UNREACHED) - set(unreached(package()))) == []


PLANTED = {
    "esper": "from esper.core.used import Used",
    "esper.core.used": (
        "from esper.core import helped\n"
        "class Used:\n    def work(self):\n        return helped.Helper()\n"
        "class Alone:\n    pass\n"
        "class Kin(Alone):\n    pass\n"
    ),
    "esper.core.helped": "class Helper:\n    pass\n",
    "esper.core.lonely": "class Registered:\n    pass\nREGISTRY.add(Registered)\n",
    "esper.cli.train": "def train():\n    pass\n",
}


def test_a_planted_class_that_nobody_reaches_is_found() -> None:
    modules = {name: read(name, ast.parse(text)) for name, text in PLANTED.items()}
    dead = ["esper.core.lonely.Registered", "esper.core.used.Alone", "esper.core.used.Kin"]
    assert unreached(modules) == dead
    text = PLANTED["esper.cli.train"].replace("pass", "import esper.core.lonely\n    Kin()")
    named = "from esper.core.used import Kin\n" + text
    modules["esper.cli.train"] = read("esper.cli.train", ast.parse(named))
    assert unreached(modules) == []


def test_a_planted_event_and_field_that_nobody_fills_are_found() -> None:
    planted = ast.parse("events.Told(step=1)\nSeen(step=1, other=2)")
    assert constructed([planted]) == {"Told", "Seen"}
    assert keywords([planted], "Seen") == {"step", "other"}
