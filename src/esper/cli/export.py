"""`esper export`: the grown model without a trace of Esper, as plain PyTorch and as ONNX."""

from __future__ import annotations

import io
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from esper.cli.console import output, say
from esper.cli.lazy import later
from esper.cli.noun import Noun
from esper.contracts.errors import ConfigError, RunFolderError
from esper.core.durable_file import write_durably

with later():
    import torch

    from esper import bootstrap
    from esper.core import export as core_export
    from esper.services.tolaria import run_folder

NOUN = Noun()

PYTORCH = (".pt", ".pth")
ONNX = (".onnx",)


@NOUN.command(
    "export",
    "esper export runs/mnist1d-001",
    "esper export runs/mnist1d-001/checkpoint.pt -o model.pt",
    "esper export runs/mnist1d-001 --onnx model.onnx",
)
def export(
    *,
    source: Annotated[Path, typer.Argument(metavar="RUN|CHECKPOINT")],
    file: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE")] = None,
    onnx: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
) -> None:
    """Write the model of a run as plain PyTorch: it loads where Esper is not installed.

    Options:
        source: A run folder or its checkpoint.
        file: Name in .pt or .pth; default: model.pt in the run folder.
        onnx: Write ONNX too, name in .onnx (needs onnx, onnxscript).
    """
    _check_suffix("--output", file, PYTORCH, "for ONNX there is --onnx FILE")
    if onnx is not None:
        _check_suffix("--onnx", onnx, ONNX, "for PyTorch there is --output FILE")
        _require_onnx()
    folder = run_folder_of(source)
    session = bootstrap.reopen(folder)
    plain = core_export.export(session.model.eval())
    path = file or folder / run_folder.MODEL
    buffer = io.BytesIO()
    torch.save(plain, buffer)
    write_durably(path, buffer.getbuffer())
    parameters = sum(parameter.numel() for parameter in plain.parameters())
    say(output(), (str(path), "name"), f": {parameters:,} parameters")
    say(output(), (f"load it with torch.load({str(path)!r}, weights_only=False)", "quiet"))
    if onnx is not None:
        _write_onnx(plain, session.bundle.example.to(session.device), onnx)
        say(output(), (str(onnx), "name"))


def run_folder_of(source: Path) -> Path:
    """The run folder that a folder or a checkpoint's path means.

    Raises:
        RunFolderError: it is neither; a checkpoint alone does not say which model it is of.
    """
    if source.is_dir():
        return source
    if source.name == run_folder.CHECKPOINT and source.is_file():
        return source.parent
    raise RunFolderError(
        f"{source} is neither a run folder nor the {run_folder.CHECKPOINT} in one; in your own code use "
        "esper.export(model)"
    )


def _check_suffix(option: str, file: Path | None, known: tuple[str, ...], other: str) -> None:
    """Refuse a name that says another format than the one that is written."""
    if file is not None and file.suffix.lower() not in known:
        raise ConfigError(f"{option} {file}: end the name in {' or '.join(known)}; {other}")


def _require_onnx() -> None:
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        names = " ".join(missing)
        raise ConfigError(f"--onnx needs packages that are not installed: pip install {names}")


def _write_onnx(model: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """Write a model in evaluation mode as ONNX with a free batch axis.

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
