"""Imports that wait, so that `esper --help`, completion and what only prints answer at once.

    esper runs list
          │    └── its body uses run_store: only now sqlalchemy is imported   (`later`)
          └─────── named on the command line: only now cli/runs.py is imported (`LazyGroup`)

torch alone takes more than a second. So a noun's file is imported when it is called, as click
documents it, and names what is heavy in a `with later():` block, from where it is imported at its
first use. (`importlib.util.LazyLoader` leaves its stand-in in `sys.modules`: whoever imports
`torch.nn` then runs that module twice, first as part of torch.)
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, ClassVar

import typer.main
from typer.core import TyperCommand, TyperGroup


class LazyGroup(TyperGroup):
    """A group of nouns, each in a module of its name that is imported when the noun is called."""

    package: ClassVar[str]
    """Where the modules are; each has its noun as `NOUN`."""
    nouns: ClassVar[Mapping[str, str]]
    """Noun -> what it is, in one line."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        # What help and completion list; it is not these that are called.
        self.commands = {
            name: TyperCommand(name, help=summary) for name, summary in self.nouns.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name, the command and the words after it, as click asks for them."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else self.load(name), rest

    def load(self, name: str) -> Any:
        """Import a noun and return its command."""
        noun = importlib.import_module(f"{self.package}.{name}").NOUN
        command = typer.main.get_command(noun.app)
        command.name = name
        if isinstance(command, TyperGroup):
            command.help = self.nouns[name]
        return command


@contextmanager
def later() -> Iterator[None]:
    """Let the modules that are imported in this block be loaded when they are first used.

    Names are those of modules (`from esper import bootstrap`, `import torch`): of a module that
    waits, nothing can be taken yet.
    """
    finder = _Postponing()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in finder.postponed:
            # Whoever imports it elsewhere, and the stand-in itself, gets the real one.
            del sys.modules[name]
            parent, _, child = name.rpartition(".")
            if parent:
                delattr(sys.modules[parent], child)


class _StandIn(ModuleType):
    """Stands for a module until something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # the import system looks for these before it is used
        return getattr(importlib.import_module(self.__name__), name)


class _Postponing(MetaPathFinder, Loader):
    """Finds stand-ins for modules of ours and for whole packages of others."""

    def __init__(self) -> None:
        self.postponed: list[str] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None:
            return None
        is_our_package = (
            fullname.startswith("esper") and spec.submodule_search_locations is not None
        )
        return None if is_our_package else ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        self.postponed.append(module.__name__)
