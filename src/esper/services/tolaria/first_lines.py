"""First lines: what stands in the log when a run begins, or goes on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from esper.core.morphable_model import MorphableModel
from esper.orchestration.growth_report import layer_records
from esper.services.tolaria.config_file import config_to_mapping
from esper.services.tolaria.session import Session


def start_record(session: Session) -> dict[str, Any]:
    """The first line of a run."""
    measure = session.bundle.measure
    return {
        "type": "start",
        "step": 0,
        "name": session.name,
        "config": config_to_mapping(session.config),
        "environment": environment(session.device),
        "total_steps": session.plan.steps,
        "batch_size": session.plan.batch_size,
        "learning_rate": session.plan.learning_rate,
        "data": session.bundle.description,
        "source": session.bundle.source,
        "metric": measure.name,
        "higher_is_better": measure.higher_is_better,
        "split": {
            "train": session.sampler.size,
            "growth": len(session.growth[1]),
            "test": len(session.bundle.test),
        },
        "host": _host(session),
    }


def resume_record(session: Session, step: int, attempt: int) -> dict[str, Any]:
    """The line with which a run goes on."""
    return {
        "type": "resume",
        "step": step,
        "attempt": attempt,
        "environment": environment(session.device),
    }


def _host(session: Session) -> dict[str, Any]:
    """The model as it was given."""
    model, orchestrator = session.model, session.orchestrator
    layers = model.kasmina_layers if isinstance(model, MorphableModel) else {}
    return {
        "parameters": session.parameters_before,
        "training_flops": None if orchestrator is None else orchestrator.cost().static,
        "layers": [record.model_dump(mode="json") for record in layer_records(model)],
        "slots": {name: layer.num_seeds for name, layer in layers.items()},
    }


def environment(device: torch.device) -> dict[str, Any]:
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
