"""A model as tables: its layers with sizes, geometry and slots, and the plan of a run with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from esper.blueprints.geometry import Geometry
from esper.cli.console import Row, print_facts, print_rows, say
from esper.cli.library_text import shape_text
from esper.contracts.lifecycle import SeedPhase
from esper.core.morphable_model import MorphableModel
from esper.execution.host_branch import host_modules
from esper.execution.kasmina_host import plain_class
from esper.execution.kasmina_layer import KasminaLayer
from esper.execution.seed import Seed
from esper.report import wording
from esper.services.tolaria.session import Session
from esper.services.tolaria.training_config import TolariaConfig


def print_plan(console: Console, config: TolariaConfig, session: Session) -> None:
    """Print what a dry run says: everything that a run would use, before it uses it."""
    bundle, plan = session.bundle, session.plan
    facts = {
        "run": session.name,
        "data": bundle.description,
        "source": bundle.source,
        "splits": f"train {wording.count(session.sampler.size)}, growth "
        f"{wording.count(len(session.growth[1]))}, test {wording.count(len(bundle.test))}",
        "steps": f"{wording.count(plan.steps)} of batch {plan.batch_size}",
        "optimizer": f"{config.optimizer.name}, learning rate {plan.learning_rate:g}, "
        f"schedule {config.schedule.name}",
        "metric": bundle.measure.name,
        "device": f"{session.device}, {config.precision}",
        "seed": str(config.seed),
        "parameters": wording.count(session.parameters_before),
        "growth": "on" if session.orchestrator is not None else "off",
        "output": str(config.output),
    }
    print_facts(console, facts)
    if isinstance(session.model, MorphableModel):
        print_layers(console, session.model)
    say(console, ("Nothing was written: this was a dry run.", "quiet"))


def print_layers(console: Console, model: MorphableModel) -> None:
    """Print one row for each layer that can grow."""
    rows: Iterable[Row] = (
        {
            "layer": (name, "name"),
            "type": facts["type"],
            "reads": facts["reads"],
            "parameters": wording.count(facts["parameters"]),
            "slots": slots_text(facts["slots"]),
        }
        for name, facts in describe_layers(model).items()
    )
    print_rows(console, rows, right=("parameters",), title="layers that can grow")


def describe_layers(model: MorphableModel) -> dict[str, dict[str, Any]]:
    """Everything about the layers that can grow, as plain values, by qualified name."""
    return {name: _describe(layer) for name, layer in model.kasmina_layers.items()}


def geometry_text(geometry: Geometry | None) -> str:
    """A geometry in a few words: `flat 784 (from 1x28x28) → 128`."""
    if geometry is None:
        return "not traced"
    source = f" (from {shape_text(geometry.source_shape)})" if geometry.source_shape else ""
    causal = ", causal" if geometry.causal else ""
    shapes = f"{shape_text(geometry.input_shape)}{source} → {shape_text(geometry.output_shape)}"
    return f"{geometry.layout.value} {shapes}{causal}"


def slots_text(slots: list[dict[str, Any]]) -> Text:
    """The slots that hold something, and how many are free."""
    dormant = SeedPhase.DORMANT.name.lower()
    text = Text()
    for slot in slots:
        if slot["state"] != dormant:
            text.append(f"#{slot['slot']} {slot['kernel'] or 'kernel'}: {slot['state']}", "good")
            text.append(f" (alpha {slot['alpha']:.2f}), ")
    free = sum(slot["state"] == dormant for slot in slots)
    return text.append(f"{free} dormant", "quiet")


def _describe(layer: KasminaLayer) -> dict[str, Any]:
    geometry = layer.geometry
    return {
        "type": plain_class(layer.host).__name__,
        "reads": geometry_text(geometry),
        "host": None if geometry is None else geometry.host,
        "host_dropped": layer.host_dropped,
        "parameters": _parameters(layer),
        "slots": [_slot(seed) for seed in layer.seeds()],
    }


def _parameters(layer: KasminaLayer) -> int:
    """Parameters of the layer and the kernels in it; behind a layer, of the kernels."""
    kernels = layer.kernels
    grown = [] if kernels is None else [*kernels.parameters()]
    own = (
        []
        if layer.behind
        else [p for m in host_modules(layer.host) for p in m._parameters.values()]
    )
    return sum(p.numel() for p in (*grown, *own) if p is not None)


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
