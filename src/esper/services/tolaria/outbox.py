"""Outbox: what a run has for a library, kept in its folder until the library has it.

====================================  ================================================
`outbox/kernels/<id>.safetensors`     a kernel that the run kept
`outbox/kernels/<id>.json`            its registration
`outbox/reports/<report id>.json`     what a kernel did in the run
====================================  ================================================

Delivering takes away what the library has accepted; what it refuses for good gets the suffix
`.refused`. All of it may be sent again: the library takes the same thing once.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from esper.contracts.enums import Verdict
from esper.contracts.errors import KernelError, LibraryError, LibraryNotFoundError, SubmissionError
from esper.contracts.growth import GrowthReport
from esper.contracts.library import KernelOutcome, KernelRegistration
from esper.contracts.ports import KernelLibrary
from esper.contracts.records import KernelsDelivered
from esper.core.durable_file import write_durably
from esper.core.morphable_model import MorphableModel
from esper.orchestration.kernel_outcomes import Fossil, fossil_outcome, fossils, kernel_outcomes
from esper.services.tolaria.run_folder import REPORT
from esper.utils.plain_file import read_record
from esper.utils.spans import SpanContext, root_of, trace_id_of, within

logger = logging.getLogger(__name__)

OUTBOX = "outbox"
_REFUSED = ".refused"
_REFUSALS: Final[Mapping[str, tuple[type[LibraryError], ...]]] = {
    "kernels": (SubmissionError,),
    "reports": (SubmissionError, LibraryNotFoundError),
}
"""What a library says of that which it never takes, by kind."""


def fill(
    folder: Path,
    model: MorphableModel,
    report: GrowthReport,
    *,
    run_id: str,
    deposit: bool,
    tags: Mapping[str, str],
) -> dict[str, str]:
    """Put a finished run's reports into its outbox, and with ``deposit`` the kernels it kept.

    Returns:
        The ids of these kernels, by the layer that they grew in.

    Raises:
        CheckpointError: a file cannot be written.
    """
    has_raced = any(e.kernel_id is not None for race in report.races for e in race.entrants)
    if not (deposit or has_raced):
        return {}
    outcomes, kernels = list(kernel_outcomes(report, run_id)), dict[str, str]()
    for fossil in _fossils(model, run_id, tags) if deposit else ():
        path = _kernels(folder) / f"{fossil.registration.kernel_id}.safetensors"
        write_durably(path, fossil.data)
        write_durably(path.with_suffix(".json"), fossil.registration.model_dump_json().encode())
        outcome = fossil_outcome(report, fossil, run_id)
        outcomes += [] if outcome is None else [outcome]
        kernels[fossil.layer_name] = fossil.registration.kernel_id
    for outcome in outcomes:
        path = _reports(folder) / f"{outcome.report_id}.json"
        write_durably(path, outcome.model_dump_json().encode())
    return kernels


def _fossils(model: MorphableModel, run_id: str, tags: Mapping[str, str]) -> list[Fossil]:
    """The kernels that the run kept; none where one of them is not fit to be passed on."""
    try:
        return list(fossils(model, run_id=run_id, tags=tags))
    except KernelError as error:
        logger.warning("the run's kernels are not deposited: %s", error)
        return []


def deliver(folder: Path, library: KernelLibrary) -> KernelsDelivered:
    """Send what is in the outbox of the run in a folder: kernels first, reports name them.

    Returns:
        How it went; a library that fails leaves the rest for another time.
    """
    taken = dict.fromkeys(_REFUSALS, 0)
    refused, trouble, spans = 0, None, _spans(folder)
    try:
        for kind in taken:
            for path in sorted((folder / OUTBOX / kind).glob("*.json")):
                with within(spans.get(path.stem)):
                    is_taken = _send(library, path)
                taken[kind] += is_taken
                refused += not is_taken
    except LibraryError as error:
        trouble = str(error)
        logger.warning("the library did not take everything; it is kept in %s: %s", folder, error)
    left = len([*(folder / OUTBOX).glob("*/*.json")])
    return KernelsDelivered(
        kernels=taken["kernels"],
        reports=taken["reports"],
        refused=refused,
        left=left,
        trouble=trouble,
    )


def _spans(folder: Path) -> dict[str, SpanContext]:
    """What each file belongs to, by its stem: the adaptation that its report tells of."""
    grown = folder / REPORT
    if not grown.exists():
        return {}
    decisions = GrowthReport.model_validate_json(grown.read_bytes()).decisions
    closings = [d.step for d in decisions if d.verdict is not Verdict.GRAFT]
    found: dict[str, SpanContext] = {}
    for path in _reports(folder).glob("*.json"):
        outcome = read_record(path, KernelOutcome)
        before = sum(step < outcome.report.step for step in closings)
        span = root_of(trace_id_of(outcome.run_id, before))
        found[path.stem] = found[outcome.kernel_id] = span
    return found


def _send(library: KernelLibrary, path: Path) -> bool:
    """Send a registration with its kernel, or a report; whether the library took it."""
    kernel = path.with_suffix(".safetensors")
    try:
        if path.parent.name == "kernels":
            registration = read_record(path, KernelRegistration)
            library.deposit(kernel.read_bytes(), registration)
        else:
            library.report(read_record(path, KernelOutcome))
    except _REFUSALS[path.parent.name] as error:
        logger.warning("the library refuses %s: %s", path.name, error)
        path.rename(path.with_name(path.name + _REFUSED))
        return False
    path.unlink()
    kernel.unlink(missing_ok=True)
    return True


def _kernels(folder: Path) -> Path:
    return folder / OUTBOX / "kernels"


def _reports(folder: Path) -> Path:
    return folder / OUTBOX / "reports"
