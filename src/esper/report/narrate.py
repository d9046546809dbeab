"""Events in plain English, one line each, for the terminal and for the page's timeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from esper.contracts.enums import KernelMode
from esper.contracts.events import (
    CommandCarriedOut,
    CommandRefused,
    Event,
    GraftEvaluated,
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
from esper.report import wording
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
    return (
        f"race {event.race + 1} begins: {len(event.candidates)} candidates for {layers} train in "
        f"the shadow for up to {wording.count(event.window_steps)} steps"
    )


@_TELLERS.register(RungFinished)
def _rung_finished(event: RungFinished) -> str:
    left = [standing for standing in event.standings if standing.survived]
    text = f"mark {event.rung + 1}: {len(left)} of {len(event.standings)} candidates go on"
    if left and event.standings[0].gain is not None:
        leader = event.standings[0]
        gain = wording.signed_percent(event.standings[0].gain)
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


@_TELLERS.register(GraftEvaluated)
def _evaluated(event: GraftEvaluated) -> str:
    verdict = "it stays" if event.kept else "it goes"
    if event.gain is None:
        return f"check of the graft at {_layer(event.layer_name)}: not finite; {verdict}"
    gain = wording.signed_percent(event.gain) + _span(event.ci_low, event.ci_high)
    return f"check of the graft at {_layer(event.layer_name)}: held-out gain {gain}; {verdict}"


@_TELLERS.register(SeedRetreated)
def _retreated(event: SeedRetreated) -> str:
    return f"retreat at {_layer(event.layer_name)}{_because(event.reason)}"


@_TELLERS.register(SeedFossilized)
def _fossilized(event: SeedFossilized) -> str:
    host = "; the old layer is gone" if event.host_dropped else ""
    return (
        f"{event.blueprint or 'the kernel'} is now part of {_layer(event.layer_name)} for good"
        f"{host}; the model has {wording.count(event.parameters)} parameters"
    )


@_TELLERS.register(SeedCulled)
def _culled(event: SeedCulled) -> str:
    what = event.blueprint or "the kernel"
    return f"{what} is removed from {_layer(event.layer_name)}{_because(event.reason)}"


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
