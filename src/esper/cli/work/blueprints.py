"""Lists blueprint families, and what they give at a certain place."""

from __future__ import annotations

import json
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from esper.blueprints.geometry import Geometry
from esper.blueprints.graph_weights import describe
from esper.blueprints.library.blueprint_catalog import Candidate, candidate, candidates, families
from esper.blueprints.library.family import FAMILIES
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.requests import BlueprintsRequest
from esper.cli.shapes import read_geometry
from esper.contracts.enums import KernelMode
from esper.contracts.errors import ConfigError, GeometryError
from esper.report import wording
from esper.utils.nearest import did_you_mean


def run(request: BlueprintsRequest) -> int:
    """Carry out `esper blueprints list` and `show`.

    Raises:
        RegistryError: there is no such family.
        GeometryError: the family does not fit the place.
        ConfigError: the place is not described well.
    """
    geometry = read_geometry(request.geometry)
    console = output()
    if request.family is None:
        found = None if geometry is None else candidates(geometry)
        if request.as_json:
            console.print_json(json.dumps(_families() if found is None else _plain(found)))
        else:
            console.print(_family_table() if found is None else candidate_table(found))
        return ExitCode.OK
    member = FAMILIES.lookup(request.family)
    if geometry is None:
        console.print(Text.assemble((member.name, "name"), f": {member.summary}"))
        console.print(f"sizes: {', '.join(member.sizes)}")
        console.print(Text("Add --host and --input to see its graphs there.", style="quiet"))
        return ExitCode.OK
    shown = chosen(geometry, request)
    if request.as_json:
        graphs = [entry.ir.to_dict() for entry in shown]
        console.print_json(json.dumps(graphs[0] if len(graphs) == 1 else graphs))
    else:
        _print_graphs(console, shown)
    return ExitCode.OK


def read_mode(text: str) -> KernelMode:
    """A mode by name.

    Raises:
        ConfigError: there is no such mode.
    """
    try:
        return KernelMode(text)
    except ValueError:
        known = [mode.value for mode in KernelMode]
        raise ConfigError(f"--mode {text!r} is no mode. {did_you_mean(text, known)}") from None


def chosen(geometry: Geometry, request: BlueprintsRequest) -> list[Candidate]:
    """What one family gives at a place: all sizes and modes, or those that were asked for.

    Raises:
        GeometryError: nothing that was asked for fits.
    """
    assert request.family is not None  # the caller has looked it up
    member = FAMILIES.lookup(request.family)
    sizes = list(member.sizes) if request.size is None else [request.size]
    asked = None if request.mode is None else read_mode(request.mode)
    modes = [m for m in member.modes(geometry) if asked is None or m is asked]
    if not modes or not member.fits(geometry):
        raise GeometryError(
            f"{request.family} does not fit {geometry.host} {geometry.input_shape} → "
            f"{geometry.output_shape}{'' if asked is None else f' in {asked.value} mode'}; "
            "`esper blueprints list` with the same options lists what does"
        )
    return [candidate(geometry, member.name, size, mode) for size in sizes for mode in modes]


def candidate_table(found: list[Candidate]) -> Table:
    """Candidates with their costs."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("blueprint", "mode", "parameters", "FLOPs per sample"):
        right = heading not in {"blueprint", "mode"}
        table.add_column(heading, justify="right" if right else "left")
    for entry in found:
        table.add_row(
            Text(entry.label, style="name"),
            entry.mode.value,
            wording.count(entry.cost.parameters),
            wording.count(entry.cost.flops),
        )
    return table


def _family_table() -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("family", "sizes", "what it is"):
        table.add_column(heading, overflow="fold")
    for name, member in families().items():
        table.add_row(Text(name, style="name"), ", ".join(member.sizes), member.summary)
    return table


def _families() -> list[dict[str, Any]]:
    return [
        {"family": name, "sizes": list(member.sizes), "summary": member.summary}
        for name, member in families().items()
    ]


def _plain(found: list[Candidate]) -> list[dict[str, Any]]:
    return [
        {
            "family": entry.family,
            "size": entry.size,
            "mode": entry.mode.value,
            "parameters": entry.cost.parameters,
            "flops": entry.cost.flops,
        }
        for entry in found
    ]


def _print_graphs(console: Console, shown: list[Candidate]) -> None:
    for entry in shown:
        costs = (
            f"{wording.count(entry.cost.parameters)} parameters, "
            f"{wording.count(entry.cost.flops)} FLOPs per sample"
        )
        console.print(Text.assemble((entry.label, "name"), f" ({entry.mode.value}): {costs}"))
        console.print(Text(describe(entry.ir)), soft_wrap=True)
        console.print()
