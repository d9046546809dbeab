"""Builds a kernel with fresh weights and writes it as a kernel file."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from esper import bootstrap
from esper.blueprints.build import build
from esper.blueprints.ir import GraphIR
from esper.blueprints.library.blueprint_catalog import candidate
from esper.blueprints.library.family import FAMILIES
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.requests import KernelBuildRequest
from esper.cli.shapes import read_geometry
from esper.cli.work.blueprints import read_mode
from esper.contracts.errors import ConfigError
from esper.core.durable_file import write_durably
from esper.execution.artifact import pack, unpack
from esper.report import wording


def run(request: KernelBuildRequest) -> int:
    """Carry out `esper kernel build`.

    Raises:
        ConfigError: it is not said, or said twice, what to build.
        BlueprintError: the graph is not valid, or does not fit.
        CheckpointError: the file cannot be written.
    """
    mode = read_mode(request.mode)
    if (request.family is None) == (request.ir is None):
        raise ConfigError("say what to build: either --family with --host and --input, or --ir")
    if request.ir is not None:
        name, ir = request.ir.stem, read_ir(request.ir)
    else:
        assert request.family is not None  # one of the two is there
        geometry = read_geometry(request.geometry)
        if geometry is None:
            raise ConfigError("--family needs a place: give --host and --input")
        size = request.size or next(iter(FAMILIES.lookup(request.family).sizes))
        entry = candidate(geometry, request.family, size, mode)
        name, ir = entry.label, entry.ir
    kernel = build(ir, seed=request.seed)
    data = pack(kernel, ir, mode, blueprint=name, created_by="esper kernel build")
    artifact = unpack(data)
    if request.output is None:
        store = bootstrap.kernel_store()
        where = f"kernel store {store.root}"
        store.put(data)
    else:
        where = str(request.output)
        write_durably(request.output, data)
    facts = artifact.metadata
    console = output()
    console.print(Text.assemble((artifact.kernel_id, "name")), soft_wrap=True)
    console.print(
        f"{name}, {mode.value}, {wording.count(facts.parameters)} parameters, "
        f"{wording.count(facts.flops)} FLOPs per sample, {wording.count(len(data))} bytes → {where}",
        soft_wrap=True,
    )
    return ExitCode.OK


def read_ir(path: Path) -> GraphIR:
    """Read graph IR from a JSON file.

    Raises:
        ConfigError: the file cannot be read.
        BlueprintError: what it holds is no valid graph.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--ir {path} cannot be read: {error}") from error
    return GraphIR.from_json(text)
