"""Writes the grown model of a run as plain PyTorch, and as ONNX when asked."""

from __future__ import annotations

import io
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from rich.text import Text
from torch import nn

from esper import bootstrap
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.requests import ExportRequest
from esper.contracts.errors import ConfigError, RunFolderError
from esper.core.durable_file import write_durably
from esper.core.export import export
from esper.services.tolaria.run_folder import CHECKPOINT, MODEL


def run(request: ExportRequest) -> int:
    """Carry out `esper export`.

    Raises:
        RunFolderError: the source is no run folder and no checkpoint in one.
        CheckpointError: the checkpoint is damaged, or a file cannot be written.
        ConfigError: ONNX was asked for and cannot be written.
    """
    if request.onnx is not None:
        require_onnx()
    folder = run_folder_of(request.source)
    session = bootstrap.reopen(folder)
    plain = export(session.model.eval())
    path = folder / MODEL if request.output is None else request.output
    buffer = io.BytesIO()
    torch.save(plain, buffer)
    write_durably(path, buffer.getbuffer())
    console = output()
    parameters = sum(parameter.numel() for parameter in plain.parameters())
    console.print(Text.assemble((str(path), "name"), f": {parameters:,} parameters"))
    console.print(
        Text(f"load it with torch.load({str(path)!r}, weights_only=False)", style="quiet"),
        soft_wrap=True,
    )
    if request.onnx is not None:
        write_onnx(plain, session.bundle.example.to(session.device), request.onnx)
        console.print(Text(str(request.onnx), style="name"))
    return ExitCode.OK


def run_folder_of(source: Path) -> Path:
    """The run folder that a folder or a checkpoint's path means.

    Raises:
        RunFolderError: it is neither; a checkpoint alone does not say which model it is of.
    """
    if source.is_dir():
        return source
    if source.name == CHECKPOINT and source.is_file():
        return source.parent
    raise RunFolderError(
        f"{source} is neither a run folder nor the {CHECKPOINT} in one; in your own code use "
        "esper.export(model)"
    )


def require_onnx() -> None:
    """Make sure that ONNX can be written.

    Raises:
        ConfigError: a package is missing.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        names = " ".join(missing)
        raise ConfigError(f"--onnx needs packages that are not installed: pip install {names}")


def write_onnx(model: nn.Module, example: torch.Tensor, path: Path) -> None:
    """Write a model as ONNX with a free batch axis.

    Args:
        model: in evaluation mode.
        example: a batch of inputs, two samples or more.
        path: where to.
    """
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        # The exporter warns about its own dependencies; none of it concerns the user's model.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            model, (example,), dynamo=True, dynamic_shapes=({0: batch},), verbose=False
        )
    assert program is not None  # with dynamo=True there is always one
    program.save(str(path))
