"""The layers of a model as a table: sizes, geometry, slots."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from esper.blueprints.geometry import Geometry
from esper.contracts.lifecycle import SeedPhase
from esper.core.morphable_model import MorphableModel
from esper.execution.kasmina_layer import KasminaLayer
from esper.execution.seed import Seed
from esper.report import wording


def layer_table(model: MorphableModel) -> Table:
    """One row for each layer that can grow."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="layers that can grow")
    for heading in ("layer", "type", "reads", "parameters", "slots"):
        table.add_column(heading, justify="right" if heading == "parameters" else "left")
    for name, facts in describe_layers(model).items():
        table.add_row(
            Text(name, style="name"),
            facts["type"],
            facts["reads"],
            wording.count(facts["parameters"]),
            slots_text(facts["slots"]),
        )
    return table


def describe_layers(model: MorphableModel) -> dict[str, dict[str, Any]]:
    """Everything about the layers that can grow, as plain values, by qualified name."""
    return {name: _describe(layer) for name, layer in model.kasmina_layers.items()}


def geometry_text(geometry: Geometry | None) -> str:
    """A geometry in a few words: `flat 784 (from 1x28x28) → 128`."""
    if geometry is None:
        return "not traced"
    source = f" (from {_shape(geometry.source_shape)})" if geometry.source_shape else ""
    causal = ", causal" if geometry.causal else ""
    shapes = f"{_shape(geometry.input_shape)}{source} → {_shape(geometry.output_shape)}"
    return f"{geometry.layout.value} {shapes}{causal}"


def slots_text(slots: list[dict[str, Any]]) -> Text:
    """The slots that hold something, and how many are free."""
    text = Text()
    for slot in slots:
        if slot["state"] != SeedPhase.DORMANT.name.lower():
            what = slot["kernel"] or "kernel"
            text.append(f"#{slot['slot']} {what}: {slot['state']}", "good")
            text.append(f" (alpha {slot['alpha']:.2f})\n")
    free = sum(slot["state"] == SeedPhase.DORMANT.name.lower() for slot in slots)
    return text.append(f"{free} dormant", "quiet")


def _describe(layer: KasminaLayer) -> dict[str, Any]:
    geometry = layer.geometry
    return {
        "type": type(layer).__name__.removeprefix("Kasmina"),
        "reads": geometry_text(geometry),
        "host": None if geometry is None else geometry.host,
        "host_dropped": layer.host_dropped,
        "parameters": sum(parameter.numel() for parameter in layer.parameters()),
        "slots": [_slot(seed) for seed in layer.seeds()],
    }


def _slot(seed: Seed) -> dict[str, Any]:
    return {
        "slot": seed.index,
        "state": seed.phase.name.lower(),
        "alpha": float(seed.alpha),
        "kernel": seed.label,
        "mode": seed.mode.value,
        "kernel_id": seed.kernel_id,
        "strikes": seed.strikes,
    }


def _shape(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if size is None else str(size) for size in shape) or "scalar"
