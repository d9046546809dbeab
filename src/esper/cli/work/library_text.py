"""Records of a library as lines for people, and choices as they are typed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TypeVar

from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from esper.contracts.assets import Blueprint
from esper.contracts.base import Shape
from esper.contracts.errors import ConfigError
from esper.contracts.library import BlueprintRecord, KernelRecord
from esper.report import wording
from esper.utils.nearest import did_you_mean

Choice = TypeVar("Choice", bound=StrEnum)


def read_choice(kind: type[Choice], text: str, option: str) -> Choice:
    """A member of an enumeration by its word.

    Raises:
        ConfigError: there is no such word.
    """
    try:
        return kind(text)
    except ValueError:
        known = [member.value for member in kind]
        raise ConfigError(
            f"{option} {text!r} is none of {', '.join(known)}. {did_you_mean(text, known)}"
        ) from None


def read_tags(tags: Sequence[str]) -> dict[str, str]:
    """Labels that were typed as `name=value`.

    Raises:
        ConfigError: one has no value, or stands twice with different ones.
    """
    found: dict[str, str] = {}
    for tag in tags:
        name, equals, value = tag.partition("=")
        if not name or not equals:
            raise ConfigError(f"--tag {tag!r}: write NAME=VALUE, like --tag task=mnist1d")
        if found.setdefault(name, value) != value:
            raise ConfigError(f"--tag {name} is given twice, as {found[name]!r} and {value!r}")
    return found


def print_json(console: Console, records: BaseModel | Iterable[BaseModel]) -> None:
    """Print one record, or a list of them, as JSON."""
    if isinstance(records, BaseModel):
        console.print_json(records.model_dump_json())
    else:
        console.print_json(json.dumps([record.model_dump(mode="json") for record in records]))


def print_blueprint(console: Console, record: BlueprintRecord) -> None:
    """Print a blueprint: its id on a line of its own, then what it is and where it stands."""
    console.print(Text(record.blueprint.blueprint_id, style="name"), soft_wrap=True)
    parts = [blueprint_facts(record.blueprint), record.blueprint.state.value]
    if record.attempts:
        parts.append(f"{record.attempts} {'try' if record.attempts == 1 else 'tries'}")
    if record.reason:
        parts.append(record.reason)
    _facts(console, parts)
    for kernel_id in record.kernels:
        _facts(console, [f"kernel {kernel_id}"])


def print_kernel(console: Console, record: KernelRecord) -> None:
    """Print a kernel: its id on a line of its own, then what it is and where it stands."""
    console.print(Text(record.metadata.kernel_id or "", style="name"), soft_wrap=True)
    _facts(console, kernel_facts(record))


def blueprint_facts(blueprint: Blueprint) -> str:
    """A blueprint in a few words."""
    return (
        f"{blueprint.name}, {blueprint.mode.value}, {blueprint.host or 'any host'} "
        f"{shape_text(blueprint.input_shape)} → {shape_text(blueprint.output_shape)}, "
        f"{wording.count(blueprint.parameters)} parameters"
    )


def kernel_facts(record: KernelRecord) -> list[str]:
    """A kernel in a few words each."""
    facts = record.metadata
    shapes = f"{shape_text(facts.input_shape)} → {shape_text(facts.output_shape)}"
    parts = [
        f"{facts.blueprint}, {facts.mode.value}, {record.host or 'any host'} {shapes}",
        f"{wording.count(facts.parameters)} parameters",
        record.status.value,
    ]
    if record.latency_us is not None:
        parts.append(f"{record.latency_us:.0f} µs")
    if record.proven_gain is not None:
        parts.append(f"proven gain {wording.loss(record.proven_gain)}")
    if record.field_reports:
        plural = "" if record.field_reports == 1 else "s"
        parts.append(f"{record.field_reports} field report{plural}")
    if record.signatures:
        parts.append("signed by " + ", ".join(one.key_id for one in record.signatures))
    parts += [f"{name}={value}" for name, value in sorted(record.tags.items())]
    return parts


def shape_text(shape: Shape) -> str:
    """A shape as it is typed: `3x32x32`, `?x64`."""
    return "x".join("?" if size is None else str(size) for size in shape) or "scalar"


def _facts(console: Console, parts: Sequence[str]) -> None:
    console.print(Text("  " + ", ".join(parts), style="quiet"), soft_wrap=True)
