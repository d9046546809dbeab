"""Looks into a model: of a run, of a checkpoint, of a quick-start, or of the user's own code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.text import Text
from torch import nn

from esper import bootstrap
from esper.blueprints.flops import measured_flops
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.layers import describe_layers, layer_table
from esper.cli.requests import InspectRequest
from esper.cli.shapes import known_shape
from esper.cli.work.export import run_folder_of
from esper.contracts.errors import ConfigError
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.data.task_catalog import data_set_names, load
from esper.report import wording
from esper.services.tolaria.factories import import_factory


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model to look into."""

    name: str
    model: MorphableModel | nn.Module
    example: torch.Tensor | None
    """A batch, where one is known."""


def run(request: InspectRequest) -> int:
    """Carry out `esper inspect`.

    Raises:
        ConfigError: the target is nothing that can be looked into.
        RunFolderError: it is no run.
        CheckpointError: its checkpoint is damaged.
    """
    subject = find(request)
    flops = None
    if subject.example is not None:
        subject.model.eval()
        with torch.no_grad():
            total = measured_flops(subject.model, subject.example)
        flops = total // len(subject.example)
    console = output()
    if request.as_json:
        console.print_json(json.dumps(facts(subject, flops)))
    else:
        _print(console, subject, flops)
    return ExitCode.OK


def find(request: InspectRequest) -> Subject:
    """The model that a target means.

    Raises:
        ConfigError: it means none.
    """
    target, path = request.target, Path(request.target)
    if path.exists():
        session = bootstrap.reopen(run_folder_of(path))
        return Subject(name=session.name, model=session.model, example=session.train[0][:2])
    if target in data_set_names():
        bundle = load(target)
        model = wrap(bundle.model(), example_input=bundle.example, inplace=True)
        return Subject(name=target, model=model, example=bundle.example)
    if ":" not in target:
        raise ConfigError(
            f"{target!r} is no run folder, no checkpoint, no quick-start "
            f"({', '.join(data_set_names())}) and not of the form package.module:factory"
        )
    host = import_factory(target)()
    if not isinstance(host, nn.Module):
        raise ConfigError(f"{target} returned a {type(host).__name__}; it must return an nn.Module")
    example = None
    if request.input_shape is not None:
        example = torch.zeros(2, *known_shape(request.input_shape, "--input"))
    return Subject(
        name=target, model=wrap(host, example_input=example, inplace=True), example=example
    )


def facts(subject: Subject, flops: int | None) -> dict[str, Any]:
    """Everything about a model as plain values."""
    model = subject.model
    layers = describe_layers(model) if isinstance(model, MorphableModel) else {}
    return {
        "name": subject.name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "flops_per_sample": flops,
        "layers": layers,
    }


def _print(console: Console, subject: Subject, flops: int | None) -> None:
    parameters = sum(parameter.numel() for parameter in subject.model.parameters())
    cost = "FLOPs not traced: give --input SHAPE"
    if flops is not None:
        cost = f"{wording.count(flops)} FLOPs per sample"
    line = f": {wording.count(parameters)} parameters, {cost}"
    console.print(Text.assemble((subject.name, "name"), line), soft_wrap=True)
    if isinstance(subject.model, MorphableModel):
        console.print(layer_table(subject.model))
    else:
        console.print(Text("growth was off in this run: no layer has slots", style="quiet"))
