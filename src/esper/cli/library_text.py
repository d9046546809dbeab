"""A library's records as lines for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from esper.cli.console import say
from esper.contracts.assets import Blueprint
from esper.contracts.base import Shape
from esper.contracts.library import BlueprintRecord, KernelRecord
from esper.report import wording


def print_blueprint(console: Console, record: BlueprintRecord) -> None:
    """Print a blueprint: its id on a line of its own, then what it is and where it stands."""
    say(console, (record.blueprint.blueprint_id, "name"))
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
    say(console, (record.metadata.kernel_id or "", "name"))
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
    say(console, ("  " + ", ".join(parts), "quiet"))
