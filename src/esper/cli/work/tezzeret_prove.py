"""Builds and proves blueprints on this machine, and shows the reports."""

from __future__ import annotations

import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.forge_requests import TezzeretProveRequest
from esper.cli.library_requests import BlueprintsPushRequest
from esper.cli.work.blueprints_push import wanted
from esper.cli.work.forge_settings import settings
from esper.contracts.assets import Blueprint
from esper.contracts.errors import ConfigError
from esper.contracts.library import ValidationReport
from esper.core.durable_file import write_durably
from esper.services.tezzeret.build_job import Outcome, build_apart, prepare
from esper.services.tezzeret.proof import Proof
from esper.utils.clock import SystemClock


def run(request: TezzeretProveRequest) -> int:
    """Carry out `esper tezzeret prove`.

    Returns:
        `ExitCode.FAILED` when a blueprint was not proven.

    Raises:
        ConfigError: it is not said what to prove, or a setting is out of range.
        BlueprintError: the graph is not valid, or does not fit.
        CheckpointError: the kernel cannot be written.
    """
    blueprints = wanted(_as_push(request))
    if request.output is not None and len(blueprints) > 1:
        names = ", ".join(f"{one.name} {one.mode.value}" for one in blueprints)
        raise ConfigError(f"--output takes one kernel, not {names}; give size and --mode")
    config = settings(request.targets, request.limits, seed=request.seed)
    context, clock, status = prepare(config), SystemClock(), ExitCode.OK
    for blueprint in blueprints:
        outcome = build_apart(blueprint, config, context=context, clock=clock)
        _show(output(), blueprint, outcome, as_json=request.as_json)
        if not isinstance(outcome, Proof) or outcome.data is None:
            status = ExitCode.FAILED
        elif request.output is not None:
            write_durably(request.output, outcome.data)
    return status


def _as_push(request: TezzeretProveRequest) -> BlueprintsPushRequest:
    """What would be pushed is what is proven."""
    path = Path(request.source)
    is_file = path.is_file()
    family, _, size = request.source.partition("/")
    return BlueprintsPushRequest(
        urza=None,
        file=path if is_file else None,
        family=None if is_file else family,
        size=(size or None) if not is_file else None,
        mode=request.mode,
        geometry=request.geometry,
        name=None,
        proposed=False,
        as_json=request.as_json,
    )


def _show(console: Console, blueprint: Blueprint, outcome: Outcome, *, as_json: bool) -> None:
    report = outcome.report if isinstance(outcome, Proof) else None
    reason = outcome.reason if not isinstance(outcome, Proof) and hasattr(outcome, "reason") else ""
    if as_json:
        document = {
            "blueprint": blueprint.name,
            "mode": blueprint.mode.value,
            "report": None if report is None else report.model_dump(mode="json"),
            "reason": reason if report is None else report.reason,
        }
        console.print_json(json.dumps(document))
        return
    title = Text.assemble((blueprint.name, "name"), f" ({blueprint.mode.value}): ")
    passed = report is not None and report.passed
    title.append("proven" if passed else "not proven", style="good" if passed else "bad")
    console.print(title)
    if report is None:
        console.print(Text(reason), soft_wrap=True)
    else:
        console.print(_table(report))


def _table(report: ValidationReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("check", "", "what was found"):
        table.add_column(heading, overflow="fold")
    for check in report.checks:
        verdict = Text("good", style="good") if check.passed else Text("FAILED", style="bad")
        table.add_row(Text(check.name, style="name"), verdict, Text(check.detail))
    return table
