"""What became of proven kernels in a run, read off its report; and what the run can pass on.

Both are pure functions of what a run leaves behind, so they can be asked at any time, and again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from esper.contracts.enums import AdaptationOutcome, Verdict
from esper.contracts.growth import (
    CandidateStanding,
    GrowthDecision,
    GrowthReport,
    LayerRecord,
    RaceRecord,
)
from esper.contracts.library import KernelOutcome, KernelRegistration
from esper.contracts.lifecycle import SeedPhase
from esper.contracts.operational import FieldReport
from esper.core.morphable_model import MorphableModel
from esper.execution.artifact import pack
from esper.execution.artifact_check import kernel_id_of

_ENDINGS = {
    Verdict.FOSSILISE: AdaptationOutcome.FOSSILIZED,
    Verdict.CULL: AdaptationOutcome.CULLED,
    Verdict.ROLL_BACK: AdaptationOutcome.ROLLED_BACK,
}


@dataclass(frozen=True, kw_only=True)
class Fossil:
    """A kernel that a run kept, as a file that another run can enter."""

    layer_name: str
    """Where it grew."""
    data: bytes
    """The kernel file."""
    registration: KernelRegistration
    """What makes it known to a library."""


def kernel_outcomes(report: GrowthReport, run_id: str) -> tuple[KernelOutcome, ...]:
    """What each proven kernel did in each of a run's races.

    Args:
        report: of the run. A graft that is still under way has no outcome yet.
        run_id: of the run; the outcomes' identities follow from it, so they can be sent again.
    """
    found = []
    for race in report.races:
        verdict = next(d for d in report.decisions if d.step == race.end and _is_of_race(d))
        for entrant in race.entrants:
            if entrant.kernel_id is None:
                continue
            outcome = _outcome(report, race, verdict, entrant, run_id)
            if outcome is not None:
                found.append(outcome)
    return tuple(found)


def fossils(model: MorphableModel, *, run_id: str, tags: Mapping[str, str]) -> Iterator[Fossil]:
    """The kernels that a model has kept, with the weights that they have now.

    A kernel that was folded into its host's weights is no kernel any more.

    Args:
        model: after the run.
        run_id: of the run.
        tags: labels of the kernels, for example ``{"task": "mnist1d"}``. A kernel that began as
            another run's carries that one's id as ``parent``.

    Raises:
        ArtifactError: a kernel holds a value that is not finite.
    """
    for name, layer in model.kasmina_layers.items():
        for seed in layer.seeds():
            if seed.phase is not SeedPhase.FOSSILIZED or seed.kernel is None or seed.ir is None:
                continue
            data = pack(
                seed.kernel,
                seed.ir,
                seed.mode,
                blueprint=seed.label or "unnamed",
                created_by=f"run {run_id}",
                notes=f"grown in layer {name}",
            )
            parent = {} if seed.kernel_id is None else {"parent": seed.kernel_id}
            registration = KernelRegistration(
                kernel_id=kernel_id_of(data),
                host="" if layer.geometry is None else layer.geometry.host,
                tags={**tags, "layer": name[:200], **parent},
            )
            yield Fossil(layer_name=name, data=data, registration=registration)


def fossil_outcome(report: GrowthReport, fossil: Fossil, run_id: str) -> KernelOutcome | None:
    """What a kernel that the run kept did for it; None where the report does not say."""
    for decision in reversed(report.decisions):
        candidate = decision.candidate
        is_kept = decision.verdict is Verdict.FOSSILISE and candidate is not None
        if is_kept and candidate is not None and candidate.layer_name == fossil.layer_name:
            grown = candidate.model_copy(update={"kernel_id": fossil.registration.kernel_id})
            return _closed(report, decision, grown, run_id, "kept")
    return None


def _is_of_race(decision: GrowthDecision) -> bool:
    return decision.verdict in (Verdict.GRAFT, Verdict.DECLINE)


def _outcome(
    report: GrowthReport,
    race: RaceRecord,
    verdict: GrowthDecision,
    entrant: CandidateStanding,
    run_id: str,
) -> KernelOutcome | None:
    winner = verdict.candidate if verdict.verdict is Verdict.GRAFT else None
    where = f"race {race.index}"
    if winner is not None and winner.identity == entrant.identity:
        later = report.decisions[report.decisions.index(verdict) + 1 :]
        closing = next((d for d in later if d.verdict in _ENDINGS), None)
        return None if closing is None else _closed(report, closing, entrant, run_id, where)
    last = _last_standing(race, entrant)
    host_loss, standing = last if last is not None else (None, entrant)
    if _failed(race, entrant):
        how = AdaptationOutcome.FAILED
    else:
        how = AdaptationOutcome.NO_WINNER if winner is None else AdaptationOutcome.OUTRACED
    return KernelOutcome(
        report_id=_report_id(run_id, where, entrant),
        run_id=run_id,
        kernel_id=_kernel_id(entrant),
        before=host_loss,
        after=standing.loss,
        report=FieldReport(
            step=race.end,
            layer_name=entrant.layer_name,
            blueprint=entrant.candidate,
            kernel_id=entrant.kernel_id,
            outcome=how,
            gain=standing.gain,
            ci_low=standing.ci_low,
            ci_high=standing.ci_high,
            rent=entrant.rent,
            notes=verdict.reason,
        ),
    )


def _closed(
    report: GrowthReport,
    closing: GrowthDecision,
    who: CandidateStanding,
    run_id: str,
    where: str,
) -> KernelOutcome:
    """The outcome of a kernel that was grafted."""
    evidence, how = closing.evidence, _ENDINGS[closing.verdict]
    known = {} if evidence is None else evidence.model_dump(include={"gain", "ci_low", "ci_high"})
    added = 0
    if how is AdaptationOutcome.FOSSILIZED:
        added = _parameters(report.after, who) - _parameters(report.before, who)
    return KernelOutcome(
        report_id=_report_id(run_id, where, who),
        run_id=run_id,
        kernel_id=_kernel_id(who),
        before=None if evidence is None else evidence.loss_without,
        after=None if evidence is None else evidence.loss_with,
        report=FieldReport(
            step=closing.step,
            layer_name=who.layer_name,
            blueprint=who.candidate,
            kernel_id=who.kernel_id,
            outcome=how,
            rent=who.rent,
            parameters_added=added,
            notes=closing.reason,
            **known,
        ),
    )


def _last_standing(
    race: RaceRecord, entrant: CandidateStanding
) -> tuple[float | None, CandidateStanding] | None:
    """Its last standing with the host's loss at that mark; None if it reached no mark."""
    for rung in reversed(race.rungs):
        for standing in rung.standings:
            if standing.identity == entrant.identity:
                return rung.host_loss, standing
    return None


def _failed(race: RaceRecord, entrant: CandidateStanding) -> bool:
    """Whether it raised: it was to go on, and is missing at the next mark."""
    expected = True
    for rung in race.rungs:
        found = next((s for s in rung.standings if s.identity == entrant.identity), None)
        if found is None:
            return expected
        expected = found.survived
    return False


def _parameters(layers: tuple[LayerRecord, ...], who: CandidateStanding) -> int:
    return sum(layer.parameters for layer in layers if layer.name == who.layer_name)


def _kernel_id(who: CandidateStanding) -> str:
    assert who.kernel_id is not None  # only proven kernels are reported on
    return who.kernel_id


def _report_id(run_id: str, where: str, who: CandidateStanding) -> str:
    """The same words for the same thing, however often it is told."""
    words = (run_id, where, who.layer_name, who.mode.value, _kernel_id(who))
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:32]
