"""`esper blueprints`: the kinds of kernel that Esper can grow, and blueprints in a library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from esper.cli.console import (
    Row,
    diagnostics,
    output,
    print_each,
    print_json,
    print_notice,
    print_rows,
    say,
)
from esper.cli.lazy import later
from esper.cli.library_text import print_blueprint
from esper.cli.noun import Noun
from esper.cli.options import AsJson, Limit, Urza, first_problem, read_optional, refuse, typed
from esper.cli.place import Host, Place
from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState, KernelMode
from esper.contracts.errors import ConfigError, GeometryError
from esper.contracts.library import BlueprintRecord
from esper.core.durable_file import write_durably
from esper.hosting.library_access import library
from esper.report import wording
from esper.utils.plain_file import MOST_GRAPH, read_plain

with later():
    from esper.blueprints import geometry as geometry_types
    from esper.blueprints import graph_weights, ir
    from esper.blueprints.library import catalog
    from esper.execution import artifact_check
    from esper.services.urza.client import core

NOUN = Noun(is_group=True)

OWN = "custom"
"""Family and size of a graph that comes from a file."""
_STATES = ", ".join(state.value for state in BlueprintState)


@NOUN.command(
    "list",
    "esper blueprints list",
    "esper blueprints list --host linear --input 40 --output-shape 100",
    "esper blueprints list --host linear --input 784 --output-shape 128 --source 1x28x28",
    "esper blueprints list --host linear --input ?x64 --causal",
)
def list_blueprints(*, place: Place, as_json: AsJson = False) -> None:
    """List the families; with a geometry, those that fit, with parameters and FLOPs."""
    geometry = place.geometry()
    if geometry is None:
        families = [_family(name) for name in catalog.families()]
        if as_json:
            print_json(output(), families)
            return
        known: Iterable[Row] = (
            {
                "family": (one["family"], "name"),
                "sizes": ", ".join(one["sizes"]),
                "what it is": one["summary"],
            }
            for one in families
        )
        print_rows(output(), known)
        return
    found = catalog.candidates(geometry)
    if as_json:
        print_json(output(), [_plain(entry) for entry in found])
        return
    if not found:
        print_notice(diagnostics(), "no blueprint fits there")
    rows: Iterable[Row] = (
        {
            "blueprint": (entry.label, "name"),
            "mode": entry.mode.value,
            "parameters": wording.count(entry.cost.parameters),
            "FLOPs per sample": wording.count(entry.cost.flops),
        }
        for entry in found
    )
    print_rows(output(), rows, right=("parameters", "FLOPs per sample"))


@NOUN.command(
    "show",
    "esper blueprints show low-rank --host linear --input 40 --output-shape 100",
    "esper blueprints show low-rank --size small --host linear --input 40 --json > kernel.json",
)
def show(
    *,
    name: Annotated[str, typer.Argument(metavar="FAMILY")],
    size: str | None = None,
    mode: str | None = None,
    place: Place,
    as_json: AsJson = False,
) -> None:
    """Show one family; with a geometry, the graphs that it gives there (--json: as IR).

    Options:
        name: Name of the family, as `list` prints it.
        size: One size only.
        mode: replacing or residual only.
    """
    member, geometry, console = catalog.family_named(name), place.geometry(), output()
    if geometry is None:
        refuse("these choose among graphs, which need --host and --input", size=size, mode=mode)
        if as_json:
            print_json(console, _family(name))
            return
        say(console, (member.name, "name"), f": {member.summary}")
        say(console, f"sizes: {', '.join(member.sizes)}")
        say(console, ("Add --host and --input to see its graphs there.", "quiet"))
        return
    shown = _chosen(geometry, name, size, mode)
    if as_json:
        graphs = [entry.ir.to_dict() for entry in shown]
        print_json(console, graphs[0] if len(graphs) == 1 else graphs)
        return
    for entry in shown:
        costs = (
            f"{wording.count(entry.cost.parameters)} parameters, "
            f"{wording.count(entry.cost.flops)} FLOPs per sample"
        )
        say(console, (entry.label, "name"), f" ({entry.mode.value}): {costs}")
        say(console, graph_weights.describe(entry.ir), "\n")


@NOUN.command(
    "push",
    "esper blueprints push --family low-rank --host linear --input 40 --output-shape 100",
    "esper blueprints push kernel.json --name my-kernel --mode residual",
)
def push(
    *,
    file: Annotated[Path | None, typer.Argument()] = None,
    family: Annotated[str | None, typer.Option("--family")] = None,
    size: str | None = None,
    mode: str | None = None,
    name: str | None = None,
    proposed: Annotated[bool, typer.Option("--proposed")] = False,
    urza: Urza = None,
    place: Place,
    as_json: AsJson = False,
) -> None:
    """Submit blueprints to a library, where a forge builds and proves them.

    Options:
        file: Graph IR as JSON, or what `pull --json` wrote.
        family: Blueprint family instead.
        size: One size only; default: every one.
        mode: replacing or residual; default: what the family offers.
        name: Name for people; default: the file's.
        proposed: Store it without offering it to the forge.
    """
    if (family is None) == (file is None):
        raise ConfigError("say what to push: either a FILE, or --family with --host and --input")
    state = BlueprintState.PROPOSED if proposed else BlueprintState.UNVALIDATED
    if file is not None:
        shapes = place != Place(host=place.host)
        refuse("the FILE holds one graph, with its shapes", size=size, input=shapes)
        blueprints = [of_file(file, mode=mode, name=name, host=place.host)]
    else:
        assert family is not None  # one of the two is there
        blueprints = of_family(family, size, mode, place, name=name)
    with library(urza) as client:
        records = [client.submit(one.model_copy(update={"state": state})) for one in blueprints]
    print_each(records, print_blueprint, as_json=as_json)


@NOUN.command(
    "pull",
    "esper blueprints pull bp-5b1f... -o kernel.json",
    "esper blueprints pull bp-5b1f... --json",
)
def pull(
    *,
    blueprint_id: Annotated[str, typer.Argument()],
    file: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE")] = None,
    urza: Urza = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Get a blueprint's graph from a library, as `esper kernel build --ir` takes it.

    Options:
        blueprint_id: As `push` and `search` print it.
        file: Default: the terminal.
        as_json: The whole record: state, reason, proof, kernels.
    """
    with library(urza) as client:
        record = client.blueprint(blueprint_id)
    # Whoever builds from it will check it; a file that cannot be built from is not written.
    graph = ir.GraphIR.from_json(json.dumps(record.blueprint.architecture))
    document = record.model_dump(mode="json") if as_json else graph.to_dict()
    if file is None:
        print_json(output(), document)
    else:
        write_durably(file, (json.dumps(document, indent=2) + "\n").encode())


@NOUN.command(
    "search",
    "esper blueprints search --state invalid",
    "esper blueprints search --host conv2d --json",
)
def search(
    *,
    host: Host = None,
    family: str | None = None,
    state: Annotated[str | None, typer.Option(help=f"Where it stands: {_STATES}.")] = None,
    limit: Limit = 50,
    urza: Urza = None,
    as_json: AsJson = False,
) -> None:
    """List the blueprints of a library, with where they stand.

    Options:
        family: Blueprint family.
    """
    wanted = read_optional(BlueprintState, state, "--state")
    with library(urza) as client:
        page = partial(client.blueprints, host=host, state=wanted, family=family)
        found = core.collect(page, limit)
    print_each(found, print_blueprint, as_json=as_json)


def of_family(
    family: str, size: str | None, mode: str | None, place: Place, *, name: str | None = None
) -> list[Blueprint]:
    """What a family gives at a place, as blueprints.

    Raises:
        ConfigError: no place is described.
        RegistryError: there is no such family.
        GeometryError: nothing that was asked for fits.
    """
    geometry = place.geometry()
    if geometry is None:
        raise ConfigError("--family needs a place: give --host and --input")
    return [
        blueprint(
            entry.ir,
            name=name or entry.label,
            family=entry.family,
            size=entry.size,
            mode=entry.mode,
            host=geometry.host,
        )
        for entry in _chosen(geometry, family, size, mode)
    ]


def of_file(
    file: Path, *, mode: str | None, name: str | None = None, host: str | None = None
) -> Blueprint:
    """What a file holds, graph IR or a pulled blueprint; what was typed comes first.

    Raises:
        ConfigError: the file cannot be read.
        BlueprintError: what it holds is no valid graph.
    """
    try:
        text = read_plain(file, MOST_GRAPH, pipes=True).decode()
        document = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file} cannot be read as JSON: {error}") from error
    told = {"name": file.stem, "family": OWN, "size": OWN, "mode": KernelMode.REPLACING, "host": ""}
    if isinstance(document, dict) and "blueprint" in document:
        try:
            pulled = BlueprintRecord.model_validate_json(text).blueprint
        except ValidationError as problem:
            raise ConfigError(
                f"{file} is not what `esper blueprints pull --json` writes: "
                f"{first_problem(problem)}"
            ) from None
        text, told = json.dumps(pulled.architecture), {key: getattr(pulled, key) for key in told}
    asked = typed(
        name=name or None, mode=read_optional(KernelMode, mode, "--mode"), host=host or None
    )
    return blueprint(ir.GraphIR.from_json(text), **{**told, **asked})


def blueprint(graph: ir.GraphIR, **facts: Any) -> Blueprint:
    """A blueprint with its cost, and an id that follows from what it is.

    Submitting the same twice makes one record.
    """
    price = artifact_check.reference_cost(graph)
    made = Blueprint(
        architecture=graph.to_dict(),
        input_shape=graph.input_spec.shape,
        output_shape=graph.output_spec.shape,
        parameters=price.parameters,
        flops=price.flops,
        **facts,
    )
    return made.model_copy(update={"blueprint_id": identity(made)})


def identity(made: Blueprint) -> str:
    """An id that follows from what the blueprint is."""
    facts = made.model_dump(
        mode="json", exclude={"blueprint_id", "created_at", "state", "parameters", "flops"}
    )
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return f"bp-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _chosen(
    geometry: geometry_types.Geometry, family: str, size: str | None, mode: str | None
) -> list[catalog.Candidate]:
    """What one family gives at a place: all sizes and modes, or those that were asked for."""
    member = catalog.family_named(family)
    sizes = list(member.sizes) if size is None else [size]
    asked = read_optional(KernelMode, mode, "--mode")
    modes = [m for m in member.modes(geometry) if asked is None or m is asked]
    if not modes or not member.fits(geometry):
        raise GeometryError(
            f"{family} does not fit {geometry.host} {geometry.input_shape} → "
            f"{geometry.output_shape}{'' if asked is None else f' in {asked.value} mode'}; "
            "`esper blueprints list` with the same options lists what does"
        )
    return [
        catalog.candidate(geometry, member.name, size, mode) for size in sizes for mode in modes
    ]


def _family(name: str) -> dict[str, Any]:
    member = catalog.family_named(name)
    return {"family": name, "sizes": list(member.sizes), "summary": member.summary}


def _plain(entry: catalog.Candidate) -> dict[str, Any]:
    return {
        "family": entry.family,
        "size": entry.size,
        "mode": entry.mode.value,
        "parameters": entry.cost.parameters,
        "flops": entry.cost.flops,
    }
