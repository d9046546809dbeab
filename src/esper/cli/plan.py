"""What a dry run says: everything that a run would use, before it uses it."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from esper.cli.layers import layer_table
from esper.core.morphable_model import MorphableModel
from esper.report import wording
from esper.services.tolaria.session import Session
from esper.services.tolaria.training_config import TolariaConfig


def print_plan(console: Console, config: TolariaConfig, session: Session) -> None:
    """Print the plan of a run that has been put together but not begun."""
    bundle, plan = session.bundle, session.plan
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    rows = {
        "run": session.name,
        "data": f"{bundle.description}",
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
    for name, value in rows.items():
        table.add_row(Text(name, style="quiet"), value)
    console.print(table)
    if isinstance(session.model, MorphableModel):
        console.print(layer_table(session.model))
    console.print(Text("Nothing was written: this was a dry run.", style="quiet"))
