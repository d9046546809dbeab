"""The blueprint catalogue, and the ops that blueprints are written with."""

from __future__ import annotations

from docs.generator.prose import cell, table

from esper.blueprints.library.catalog import catalog_table
from esper.blueprints.ops.attribute import REQUIRED, Attribute
from esper.blueprints.ops.vocabulary import VOCABULARY


def page() -> str:
    """The page."""
    ops = [
        (f"`{name}`", cell(op.summary), "<br>".join(map(_attribute, op.attributes.items())))
        for name, op in sorted(VOCABULARY.items())
    ]
    return "\n".join(
        [
            "# Blueprint catalogue\n",
            (
                "The kinds of kernel that Esper can grow, those that race first in front. Which of "
                "them fit a place depends on its\ngeometry: `esper blueprints list --host linear "
                "--input 784 --source 1x28x28` prints those that fit there, with\nparameters and "
                "FLOPs. [A guide](../guides/new-blueprint.md) shows how to add one.\n"
            ),
            catalog_table(),
            "## Operations\n",
            (
                "The closed vocabulary that a kernel's graph is written in. A kernel file with any "
                "other operation is refused.\n"
            ),
            table(("operation", "what it does", "attributes"), ops) + "\n",
        ]
    )


def _attribute(item: tuple[str, Attribute]) -> str:
    name, attribute = item
    default = "" if attribute.default is REQUIRED else f" = {attribute.default!r}"
    choices = f" ({', '.join(attribute.choices)})" if attribute.choices else ""
    return f"`{name}: {attribute.kind.__name__}{default}`{choices}".replace("|", r"\|")
