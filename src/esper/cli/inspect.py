"""`esper inspect`: looks into a model, of a run, a checkpoint, a quick-start, or one's own code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esper.cli.console import output, print_json, say
from esper.cli.export import run_folder_of
from esper.cli.lazy import later
from esper.cli.noun import Noun
from esper.cli.options import AsJson, refuse
from esper.cli.place import known_shape
from esper.contracts.errors import ArtifactError, ConfigError, RunFolderError
from esper.report import wording

with later():
    import torch

    from esper import bootstrap
    from esper.blueprints import flops as counted
    from esper.cli import layers
    from esper.core import model_wrapper, morphable_model
    from esper.data import catalog
    from esper.execution import artifact_check
    from esper.services.tolaria import factories

if TYPE_CHECKING:
    from torch import Tensor, nn

    from esper.core.morphable_model import MorphableModel

    Subject = tuple[str, MorphableModel | nn.Module, Tensor | None]

NOUN = Noun()

_KERNEL = ".safetensors"


@NOUN.command(
    "inspect",
    "esper inspect runs/mnist1d-001",
    "esper inspect runs/mnist1d-001/checkpoint.pt",
    "esper inspect mnist1d",
    "esper inspect my.project:build --input 3x32x32",
)
def inspect(
    *,
    target: Annotated[str, typer.Argument(metavar="TARGET")],
    input_shape: Annotated[str | None, typer.Option("--input", metavar="SHAPE")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a model's layers, slots, geometry, states and costs.

    Options:
        target: A run folder, a checkpoint, a quick-start's name, or MODULE:FUNCTION that returns an
            nn.Module.
        input_shape: MODULE:FUNCTION: shape of one sample, like 40 or 3x32x32; lets geometry and
            FLOPs be traced.
    """
    name, model, example = _find(target, input_shape)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    flops = None
    if example is not None:
        model.eval()
        with torch.no_grad():
            flops = counted.measured_flops(model, example) // len(example)
    grown = model if isinstance(model, morphable_model.MorphableModel) else None
    console = output()
    if as_json:
        known = {} if grown is None else layers.describe_layers(grown)
        facts = {"name": name, "parameters": parameters, "flops_per_sample": flops}
        print_json(console, {**facts, "layers": known})
        return
    priced = "FLOPs not traced: give --input SHAPE"
    if flops is not None:
        priced = f"{wording.count(flops)} FLOPs per sample"
    say(console, (name, "name"), f": {wording.count(parameters)} parameters, {priced}")
    if grown is not None:
        layers.print_layers(console, grown)
    else:
        say(console, ("growth was off in this run: no layer has slots", "quiet"))


def _find(target: str, input_shape: str | None) -> Subject:
    """The model that a target means: its name, itself, and a batch where one is known."""
    path = Path(target)
    if ":" not in target or path.exists():
        refuse("its input is known; only a model of MODULE:FUNCTION needs one", input=input_shape)
    if path.exists():
        if path.is_file() and path.suffix == _KERNEL:
            raise RunFolderError(f"{path} is a kernel: `esper kernel show {path}` looks into it")
        session = bootstrap.reopen(run_folder_of(path))
        return session.name, session.model, session.train[0][:2]
    names = catalog.data_set_names()
    if target in names:
        bundle = catalog.load(target)
        model = model_wrapper.wrap(bundle.model(), example_input=bundle.example, inplace=True)
        return target, model, bundle.example
    if artifact_check.is_kernel_id(target):
        raise ArtifactError(
            f"{target} is a kernel's id: `esper kernel show {target}` looks into it"
        )
    if ":" not in target:
        raise ConfigError(
            f"{target!r} is no run folder, no checkpoint, no quick-start "
            f"({', '.join(names)}) and not of the form package.module:factory"
        )
    host = factories.import_factory(target)()
    if not isinstance(host, torch.nn.Module):
        raise ConfigError(f"{target} returned a {type(host).__name__}; it must return an nn.Module")
    example = None
    if input_shape is not None:
        example = torch.zeros(2, *known_shape(input_shape, "--input"))
    return target, model_wrapper.wrap(host, example_input=example, inplace=True), example
