"""The reference of events, commands, records and enums: what crosses a process's edge."""

from __future__ import annotations

import ast

from docs.generator.prose import cell, inline, table
from docs.generator.source import Field, class_of, docstring, fields, link_to, public, tree

RECORDS = (
    ("What is measured and decided", "esper.contracts.operational"),
    ("What a run leaves behind", "esper.contracts.growth"),
    ("What is kept", "esper.contracts.assets"),
    ("What library, forge and trainers tell each other", "esper.contracts.library"),
    ("What a run writes into its log", "esper.contracts.records"),
    ("What happens outside of runs", "esper.contracts.platform_events"),
    ("What a run store answers", "esper.contracts.runs"),
)
BASES = {"Event", "SeedEventBase", "Command", "Contract", "PlatformEvent", "Record"}


def page() -> str:
    """The page."""
    return "\n".join(
        [
            "# Events and messages\n",
            (
                "All are frozen pydantic models: `model_dump_json()` writes one, "
                "`model_validate_json()` reads it back, and an unknown\nfield is refused. None of "
                "these modules imports torch.\n"
            ),
            "## Events\n",
            _intro("esper.contracts.events"),
            (
                "Every event has `version` and `step`; an event about one seed also has `layer_name`, "
                "`seed_idx` and `blueprint`.\n"
            ),
            *(_entry("esper.contracts.events", name) for name in events()),
            "## The envelope and the commands\n",
            _intro("esper.contracts.messages"),
            "Every command has `version` and `command_id`, its identity.\n",
            *(_entry("esper.contracts.messages", name) for name in messages()),
            *(_records(title, module) for title, module in RECORDS),
            "## The vocabulary\n",
            _intro("esper.contracts.enums"),
            *(_vocabulary(node) for node in _classes("esper.contracts.enums")),
        ]
    )


def events() -> list[str]:
    """Names of all events, in the order of the source."""
    return [n.name for n in _classes("esper.contracts.events") if n.name not in BASES]


def messages() -> list[str]:
    """The envelope, then the commands."""
    return [n.name for n in _classes("esper.contracts.messages") if n.name not in BASES]


def _classes(module: str) -> list[ast.ClassDef]:
    return [node for node in public(module) if isinstance(node, ast.ClassDef)]


def _intro(module: str) -> str:
    text = docstring(tree(module))
    return f"{inline(text)}\n\n([source]({link_to(module, 2)}))\n"


def _entry(module: str, name: str) -> str:
    node = class_of(module, name)
    bases = [ast.unparse(base) for base in node.bases]
    inherited = [f for base in bases if base == "SeedEventBase" for f in _own(module, base)]
    rows = [_row(f) for f in [*inherited, *fields(node)] if f.name not in {"kind", "version"}]
    head = f"### `{name}`\n\n{inline(docstring(node))}\n"
    return head if not rows else f"{head}\n{table(('field', 'type', 'meaning'), rows)}\n"


def _own(module: str, name: str) -> list[Field]:
    return fields(class_of(module, name))


def _row(f: Field) -> tuple[str, str, str]:
    kind = f.kind.replace("|", r"\|")
    default = "" if f.default is None else f" Default: `{f.default}`."
    return (f"`{f.name}`", f"`{kind}`", cell(f.text) + default)


def _records(title: str, module: str) -> str:
    entries = [_entry(module, node.name) for node in _classes(module)]
    return "\n".join([f"## {title}\n", _intro(module), *entries])


def _vocabulary(node: ast.ClassDef) -> str:
    rows = []
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            rows.append(
                (f"`{statement.value.value}`", cell(str(after.value.value)) if documented else "")
            )
    described = f"### `{node.name}`\n\n{inline(docstring(node))}\n"
    return f"{described}\n{table(('value', 'meaning'), rows)}\n"
