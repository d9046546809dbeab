"""Shows where a kernel comes from and what became of it."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from esper import bootstrap
from esper.cli.console import output
from esper.cli.exit_codes import ExitCode
from esper.cli.library_requests import KernelLineageRequest
from esper.cli.work.kernel_reference import resolve
from esper.cli.work.library_text import blueprint_facts, print_json, print_kernel
from esper.contracts.library import KernelOutcome, Lineage, ValidationReport
from esper.report import wording


def run(request: KernelLineageRequest) -> int:
    """Carry out `esper kernel lineage`.

    Raises:
        ConfigError: the reference is neither an id nor an alias.
        LibraryError: the library refused.
    """
    with bootstrap.library(request.urza) as library:
        found = library.lineage(resolve(library, request.kernel))
    console = output()
    if request.as_json:
        print_json(console, found)
    else:
        _print(console, found)
    return ExitCode.OK


def _print(console: Console, found: Lineage) -> None:
    print_kernel(console, found.kernel)
    if found.blueprint is not None:
        blueprint = found.blueprint.blueprint
        _line(console, "blueprint", f"{blueprint.blueprint_id}: {blueprint_facts(blueprint)}")
    if found.kernel.report is not None:
        _line(console, "proof", _proof(found.kernel.report))
    for sibling in found.siblings:
        _line(console, "sibling", sibling)
    for alias in found.aliases:
        _line(
            console, "alias", f"{alias.name}, revision {alias.revision}, {alias.updated_at:%F %R}"
        )
    for outcome in found.outcomes:
        _line(console, "run", _outcome(outcome))


def _proof(report: ValidationReport) -> str:
    passed = sum(check.passed for check in report.checks)
    tools = f"torch {report.toolchain.torch} on {report.toolchain.device}"
    verdict = "passed" if report.passed else f"failed: {report.reason}"
    return f"{verdict}, {passed} of {len(report.checks)} checks, {report.seconds:.1f} s, {tools}"


def _outcome(outcome: KernelOutcome) -> str:
    report = outcome.report
    gain = ""
    if report.gain is not None:
        gain = f", gain {wording.loss(report.gain)}"
        if report.ci_low is not None and report.ci_high is not None:
            gain += f" [{wording.loss(report.ci_low)}, {wording.loss(report.ci_high)}]"
    where = f"{report.layer_name or 'model'}, step {wording.count(report.step)}"
    return f"{outcome.run_id}: {report.outcome.value} in {where}{gain}"


def _line(console: Console, what: str, text: str) -> None:
    console.print(Text.assemble((f"  {what}: ", "quiet"), text), soft_wrap=True)
