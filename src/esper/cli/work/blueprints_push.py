"""Submits blueprints to a library."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import ValidationError

from esper import bootstrap
from esper.blueprints.ir import GraphIR
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import BlueprintsPushRequest
from esper.cli.requests import BlueprintsRequest
from esper.cli.shapes import read_geometry
from esper.cli.work.blueprints import chosen, read_mode
from esper.cli.work.library_text import print_blueprint, print_json
from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState, KernelMode
from esper.contracts.errors import ConfigError
from esper.contracts.library import BlueprintRecord
from esper.execution.artifact_check import reference_cost

OWN = "custom"
"""Family and size of a graph that comes from a file."""


def run(request: BlueprintsPushRequest) -> int:
    """Carry out `esper blueprints push`.

    Raises:
        ConfigError: it is not said, or said twice, what to submit.
        BlueprintError: the graph is not valid, or does not fit.
        LibraryError: the library refused.
    """
    blueprints = wanted(request)
    with bootstrap.library(request.urza) as library:
        records = [library.submit(blueprint) for blueprint in blueprints]
    _print(records, as_json=request.as_json)
    return ExitCode.OK


def identity(blueprint: Blueprint) -> str:
    """An id that follows from what the blueprint is: submitting it twice makes one record."""
    facts = blueprint.model_dump(
        mode="json", exclude={"blueprint_id", "created_at", "state", "parameters", "flops"}
    )
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return f"bp-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def wanted(request: BlueprintsPushRequest) -> list[Blueprint]:
    """The blueprints that a request names, from a file or a family; `esper tezzeret prove` asks too.

    Raises:
        ConfigError: it is not said, or said twice, what to take.
        BlueprintError: the graph is not valid, or does not fit.
    """
    if (request.family is None) == (request.file is None):
        raise ConfigError("say what to push: either a FILE, or --family with --host and --input")
    state = BlueprintState.PROPOSED if request.proposed else BlueprintState.UNVALIDATED
    found = _of_file(request) if request.file is not None else _of_family(request)
    finished = [one.model_copy(update={"state": state}) for one in found]
    return [one.model_copy(update={"blueprint_id": identity(one)}) for one in finished]


def _of_file(request: BlueprintsPushRequest) -> list[Blueprint]:
    assert request.file is not None  # the caller has looked
    try:
        text = request.file.read_text(encoding="utf-8")
        document = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{request.file} cannot be read as JSON: {error}") from error
    if isinstance(document, dict) and "blueprint" in document:
        record = _record(text, request.file)
        return [
            _blueprint(
                GraphIR.from_json(json.dumps(record.architecture)),
                name=request.name or record.name,
                family=record.family,
                size=record.size,
                mode=read_mode(request.mode) if request.mode else record.mode,
                host=request.geometry.host or record.host,
            )
        ]
    return [
        _blueprint(
            GraphIR.from_json(text),
            name=request.name or request.file.stem,
            family=OWN,
            size=OWN,
            mode=read_mode(request.mode or KernelMode.REPLACING.value),
            host=request.geometry.host or "",
        )
    ]


def _of_family(request: BlueprintsPushRequest) -> list[Blueprint]:
    geometry = read_geometry(request.geometry)
    if geometry is None:
        raise ConfigError("--family needs a place: give --host and --input")
    wanted = BlueprintsRequest(
        family=request.family,
        size=request.size,
        mode=request.mode,
        geometry=request.geometry,
        as_json=False,
    )
    return [
        _blueprint(
            entry.ir,
            name=request.name or entry.label,
            family=entry.family,
            size=entry.size,
            mode=entry.mode,
            host=geometry.host,
        )
        for entry in chosen(geometry, wanted)
    ]


def _record(text: str, path: Path) -> Blueprint:
    try:
        return BlueprintRecord.model_validate_json(text).blueprint
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{path} is not what `esper blueprints pull --json` writes: {where}: {first['msg']}"
        ) from None


def _blueprint(
    ir: GraphIR, *, name: str, family: str, size: str, mode: KernelMode, host: str
) -> Blueprint:
    price = reference_cost(ir)
    return Blueprint(
        name=name,
        family=family,
        size=size,
        mode=mode,
        architecture=ir.to_dict(),
        input_shape=ir.input_spec.shape,
        output_shape=ir.output_spec.shape,
        parameters=price.parameters,
        flops=price.flops,
        host=host,
    )


def _print(records: list[BlueprintRecord], *, as_json: bool) -> None:
    console = output()
    if as_json:
        print_json(console, records)
        return
    for record in records:
        print_blueprint(console, record)
