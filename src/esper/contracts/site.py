"""Site: a place of a model where something can grow, with one text for logs, commands and reports.

| site | text | what grows there |
|---|---|---|
| in a layer | `features.3` | kernels that see what the layer reads: in its place, or beside it |
| behind a module | `features.3+` | kernels that see what the module returns, and add to it |
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

_BEHIND = "+"


@dataclass(frozen=True, slots=True)
class Site:
    """A place in a model, or a pattern for several."""

    module: str
    """Qualified name of the module, as `named_modules()` spells it; `*` stands for any part of one
    name between dots."""
    behind: bool = False
    """Behind the module, on its output, rather than in it."""

    @staticmethod
    def of(text: str) -> Site:
        """Read a site's text."""
        return Site(text.removesuffix(_BEHIND), text.endswith(_BEHIND))

    @property
    def control(self) -> str:
        """What kernels here race against, in words: behind a module there is nothing to copy."""
        return (
            "the same training with nothing there" if self.behind else "a fresh copy of the layer"
        )

    @property
    def is_pattern(self) -> bool:
        """Whether it may mean several places."""
        return "*" in self.module

    def matches(self, module: str) -> bool:
        """Whether a module of this qualified name is meant."""
        if not module:  # the whole model has no name that a part of a pattern could stand for
            return not self.module
        parts, wanted = module.split("."), self.module.split(".")
        return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))

    def __str__(self) -> str:
        return self.module + _BEHIND * self.behind
