"""First lines: what stands in the log when a run begins, or goes on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import torch
from pydantic import JsonValue

from esper.contracts.base import as_name
from esper.contracts.records import HostRecord, RunResumed, RunStarted
from esper.core.morphable_model import MorphableModel
from esper.orchestration.growth_report import layer_records
from esper.services.tolaria.config_file import config_to_mapping
from esper.services.tolaria.session import Session


def started(session: Session) -> RunStarted:
    """The first line of a run."""
    measure, model, orchestrator = session.bundle.measure, session.model, session.orchestrator
    layers = model.kasmina_layers if isinstance(model, MorphableModel) else {}
    return RunStarted(
        step=0,
        name=as_name(session.name),
        config=config_to_mapping(session.config),
        environment=environment(session.device),
        total_steps=session.plan.steps,
        batch_size=session.plan.batch_size,
        learning_rate=session.plan.learning_rate,
        data=session.bundle.description,
        source=session.bundle.source,
        metric=measure.name,
        higher_is_better=measure.higher_is_better,
        split={
            "train": session.sampler.size,
            "growth": len(session.growth[1]),
            "test": len(session.bundle.test),
        },
        host=HostRecord(
            parameters=session.parameters_before,
            training_flops=None if orchestrator is None else orchestrator.cost().static,
            layers=tuple(layer_records(model)),
            slots={name: layer.num_seeds for name, layer in layers.items()},
        ),
    )


def resumed(session: Session, step: int, attempt: int) -> RunResumed:
    """The line with which a run goes on."""
    return RunResumed(step=step, attempt=attempt, environment=environment(session.device))


def environment(device: torch.device) -> dict[str, JsonValue]:
    """What a run ran on, for its log."""
    try:
        esper = version("esper-morphogenetic")
    except PackageNotFoundError:  # run from a source folder that is not installed
        esper = "unknown"
    return {
        "esper": esper,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
    }
