"""Events in plain English, one line each, for the terminal and for the page's timeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from esper.contracts.enums import KernelMode
from esper.contracts.events import (
    CommandCarriedOut,
    CommandRefused,
    Event,
    GraftStarted,
    LearningRateRewarmed,
    RaceDecided,
    RaceStarted,
    RolledBack,
    RungFinished,
    SeedCulled,
    SeedFossilized,
    SeedGerminated,
    SeedIsolated,
    SeedRetreated,
)
from esper.contracts.growth import CandidateStanding
from esper.contracts.operational import FieldReport
from esper.contracts.records import (
    CheckpointFailed,
    KernelsEntered,
    RunEnded,
    RunInterrupted,
    RunResumed,
)
from esper.report import wording
from esper.report.findings import candidates, is_control
from esper.report.run_account import Line, RunAccount
from esper.utils.registry import Registry

Teller = Callable[[Any], str]

_TELLERS: Registry[type, Teller] = Registry("narrated event")


def narrate(event: Event) -> str | None:
    """Say what happened, without the step; None for events that are no news for a person."""
    if type(event) not in _TELLERS:
        return None
    return _TELLERS.lookup(type(event))(event)


def standing_phrase(standing: CandidateStanding) -> str:
    """Name a candidate: blueprint, and how it stands to its layer."""
    if is_control(standing):
        return f"a fresh copy of {_layer(standing.layer_name)}"
    size = f"/{standing.size}" if standing.size else ""
    proven = "" if standing.kernel_id is None else "proven "
    return _joined(f"{proven}{standing.family}{size}", standing.mode, standing.layer_name)


def _joined(what: str, mode: KernelMode, layer: str) -> str:
    return f"{what} {'for' if mode is KernelMode.REPLACING else 'beside'} {_layer(layer)}"


def _layer(name: str) -> str:
    return f"layer “{name}”" if name else "the model"


def _because(reason: str) -> str:
    clause = reason.strip().rstrip(".")
    return f": {clause}" if clause else ""


def _span(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return f" (interval {wording.signed_percent(low)} to {wording.signed_percent(high)})"


@_TELLERS.register(RaceStarted)
def _race_started(event: RaceStarted) -> str:
    layers = ", ".join(f"“{name}”" for name in event.layers)
    rivals = candidates(event.candidates)
    controls = len(event.candidates) - rivals
    beside = f" and {controls} fresh {'copy' if controls == 1 else 'copies'}" if controls else ""
    return (
        f"race {event.race + 1} begins: {rivals} candidates{beside} for {layers} train in the "
        f"shadow for up to {wording.count(event.window_steps)} steps"
    )


@_TELLERS.register(RungFinished)
def _rung_finished(event: RungFinished) -> str:
    left = candidates([standing for standing in event.standings if standing.survived])
    text = f"mark {event.rung + 1}: {left} of {candidates(event.standings)} candidates go on"
    leader = event.standings[0] if event.standings else None
    if left and leader is not None and leader.gain is not None:
        gain = wording.signed_percent(leader.gain)
        text += f"; {standing_phrase(leader)} leads, held-out gain {gain}"
    return text


@_TELLERS.register(RaceDecided)
def _race_decided(event: RaceDecided) -> str:
    if event.winner is None:
        return f"race {event.race + 1} ends without a winner{_because(event.reason)}"
    winner = event.winner
    gain = "" if winner.gain is None else f", held-out gain {wording.signed_percent(winner.gain)}"
    span = _span(winner.ci_low, winner.ci_high)
    return f"race {event.race + 1} is won by {standing_phrase(winner)}{gain}{span}"


@_TELLERS.register(SeedGerminated)
def _germinated(event: SeedGerminated) -> str:
    what = _joined(event.blueprint or "a kernel", event.mode, event.layer_name)
    return f"{what} is installed ({wording.count(event.parameters)} parameters)"


@_TELLERS.register(GraftStarted)
def _graft_started(event: GraftStarted) -> str:
    what = event.blueprint or "the kernel"
    return (
        f"graft begins: {what} blends into {_layer(event.layer_name)} over "
        f"{wording.count(event.duration_steps)} steps ({event.schedule})"
    )


@_TELLERS.register(LearningRateRewarmed)
def _rewarmed(event: LearningRateRewarmed) -> str:
    return (
        f"learning rate warms up again to {event.peak:.2g} "
        f"over {wording.count(event.warmup_steps)} steps"
    )


@_TELLERS.register(SeedRetreated)
def _retreated(event: SeedRetreated) -> str:
    return f"retreat at {_layer(event.layer_name)}{_because(event.reason)}"


@_TELLERS.register(SeedFossilized)
def _fossilized(event: SeedFossilized) -> str:
    host = "; the old layer is gone" if event.host_dropped else ""
    return (
        f"{event.blueprint or 'the kernel'} in {_layer(event.layer_name)} is permanent"
        f"{_checked(event.report)}{host}; the model has {wording.count(event.parameters)} parameters"
    )


@_TELLERS.register(SeedCulled)
def _culled(event: SeedCulled) -> str:
    what = event.blueprint or "the kernel"
    reason = _because(event.reason)
    return f"{what} is taken out of {_layer(event.layer_name)}{_checked(event.report)}{reason}"


def _checked(report: FieldReport | None) -> str:
    """What the check of the graft found, against the model just before it."""
    if report is None or report.gain is None:
        return ""
    gain = wording.signed_percent(report.gain)
    return f", held-out gain {gain}{_span(report.ci_low, report.ci_high)}"


@_TELLERS.register(SeedIsolated)
def _isolated(event: SeedIsolated) -> str:
    return (
        f"the kernel in {_layer(event.layer_name)} failed {event.failures} times and is "
        f"bypassed{_because(event.reason)}"
    )


@_TELLERS.register(RolledBack)
def _rolled_back(event: RolledBack) -> str:
    return f"rolled back to step {wording.count(event.to_step)}{_because(event.reason)}"


@_TELLERS.register(CommandCarriedOut)
def _carried_out(event: CommandCarriedOut) -> str:
    return f"command carried out: {event.command}"


@_TELLERS.register(CommandRefused)
def _refused(event: CommandRefused) -> str:
    return f"command refused: {event.command}: {event.reason}"


def timeline(run: RunAccount) -> list[tuple[int, str]]:
    """Return what is news for a person, in order: step and sentence."""
    told = [(line, tell(line)) for line in run.lines]
    return [(line.step, text) for line, text in told if text]


def tell(line: Line) -> str | None:
    """Say what a line of the log means; None where it is no news."""
    if isinstance(line, Event):
        return narrate(line)
    if isinstance(line, RunResumed):
        return "the run goes on from its checkpoint"
    if isinstance(line, RunInterrupted):
        return f"the run was interrupted{_why(line)}"
    if isinstance(line, CheckpointFailed):
        return f"a checkpoint could not be written: {line.error}"
    if isinstance(line, KernelsEntered):
        trouble = f"; {line.trouble}" if line.trouble else ""
        return f"{len(line.entered)} kernels of the library may race{trouble}"
    if isinstance(line, RunEnded):
        return "the run ended"
    return None


def _why(line: RunInterrupted) -> str:
    if line.reason:
        return f": {line.reason}"
    return f" by signal {line.signal}" if line.signal else ""
