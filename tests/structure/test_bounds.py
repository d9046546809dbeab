"""Nothing that crosses a process edge is without a bound: texts, lists, mappings, whole numbers."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from esper.contracts.base import Contract
from structure import source

_BOUNDS = {
    "string": {"maxLength", "pattern", "enum", "const"},
    "integer": {"maximum", "exclusiveMaximum", "enum", "const"},
    "array": {"maxItems"},
}


def _contracts() -> list[type[Contract]]:
    for path in (source.PACKAGE / "contracts").glob("*.py"):
        importlib.import_module(f"esper.contracts.{path.stem}")
    found: list[type[Contract]] = []
    waiting = [Contract]
    while waiting:
        below = waiting.pop().__subclasses__()
        found += below
        waiting += below
    # A generic's own items have no type yet; those of its uses have.
    return [one for one in found if one.__module__.startswith("esper.") and one.__name__ != "Page"]


def _unbounded(schema: Mapping[str, Any], where: str) -> Iterator[str]:
    kind = schema.get("type")
    bounds = _BOUNDS.get(str(kind))
    if bounds and not bounds & schema.keys() and schema.get("format") != "date-time":
        yield f"{where}: {kind}"
    if kind == "object" and "maxProperties" not in schema and "properties" not in schema:
        yield f"{where}: mapping"
    for name, field in schema.get("properties", {}).items():
        yield from _unbounded(field, f"{where}.{name}")
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict):
            yield from _unbounded(schema[part], f"{where}[]")
    if "propertyNames" in schema:
        yield from _unbounded({"type": "string", **schema["propertyNames"]}, f"{where} keys")
    for part in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for option in schema.get(part, ()):
            yield from _unbounded(option, where)


@pytest.mark.parametrize("contract", _contracts(), ids=lambda one: one.__name__)
def test_every_field_of_a_contract_is_bounded(contract: type[Contract]) -> None:
    schema = contract.model_json_schema()
    found = list(_unbounded(schema, contract.__name__))
    for name, part in schema.get("$defs", {}).items():
        if name != "JsonValue":
            found += _unbounded(part, name)
    assert not found, "give these a type of esper/contracts/base.py: " + ", ".join(found)


def test_an_unbounded_field_is_found() -> None:
    class Loose(Contract):
        text: str
        numbers: dict[str, tuple[int, ...]]

    assert list(_unbounded(Loose.model_json_schema(), "Loose")) == [
        "Loose.text: string",
        "Loose.numbers: mapping",
        "Loose.numbers[]: array",
        "Loose.numbers[][]: integer",
    ]
