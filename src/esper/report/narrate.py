"""Lines of a log in plain English, one each, for the terminal and for the page's timeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from esper.contracts.events import (
    CommandCarriedOut,
    CommandRefused,
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
from esper.contracts.records import (
    CheckpointFailed,
    KernelsDelivered,
    KernelsEntered,
    LogEntry,
    RunEnded,
    RunInterrupted,
    RunResumed,
)
from esper.report import wording
from esper.report.findings import candidates, joined, kernel_phrase
from esper.report.run_account import RunAccount
from esper.report.wording import Gain, place


def tell(line: LogEntry) -> str | None:
    """Say what a line of the log means, without the step; None where it is no news for a person."""
    teller = _TELLERS.get(type(line))
    return None if teller is None else teller(line)


def timeline(run: RunAccount) -> list[tuple[int, str]]:
    """Return what is news for a person, in order: step and sentence."""
    told = [(line, tell(line)) for line in run.lines]
    return [(line.step, text) for line, text in told if text]


def leads(standing: CandidateStanding) -> str:
    """Say who leads a race, and by how much."""
    known = standing.gain
    by = "" if known is None else f" with a held-out gain of {wording.signed_percent(known)}"
    return f"{kernel_phrase(standing)} leads{by}"


def _because(reason: str) -> str:
    clause = reason.strip().rstrip(".")
    return f": {clause}" if clause else ""


def _held_out(found: Gain | None) -> str:
    gain = "" if found is None else wording.gain(found)
    return f", held-out gain {gain}" if gain else ""


def _race_started(event: RaceStarted) -> str:
    layers = ", ".join(f"“{name}”" for name in event.layers)
    rivals = candidates(event.candidates)
    controls = len(event.candidates) - rivals
    beside = f" and {controls} fresh {'copy' if controls == 1 else 'copies'}" if controls else ""
    return (
        f"race {event.race + 1} begins: {rivals} candidates{beside} for {layers} train in the "
        f"shadow for up to {wording.count(event.window_steps)} steps"
    )


def _rung_finished(event: RungFinished) -> str:
    left = candidates([standing for standing in event.standings if standing.survived])
    text = f"mark {event.rung + 1}: {left} of {candidates(event.standings)} candidates go on"
    leader = event.standings[0] if event.standings else None
    return f"{text}; {leads(leader)}" if left and leader is not None else text


def _race_decided(event: RaceDecided) -> str:
    if event.winner is None:
        return f"race {event.race + 1} ends without a winner{_because(event.reason)}"
    who = kernel_phrase(event.winner)
    return f"race {event.race + 1} is won by {who}{_held_out(event.winner)}"


def _fossilized(event: SeedFossilized) -> str:
    host = "; the old layer is gone" if event.host_dropped else ""
    return (
        f"{event.blueprint or 'the kernel'} in {place(event.layer_name)} is permanent"
        f"{_held_out(event.report)}{host}; the model has {wording.count(event.parameters)} parameters"
    )


def _interrupted(line: RunInterrupted) -> str:
    by = f" by signal {line.signal}" if line.signal else ""
    return f"the run was interrupted{_because(line.reason) if line.reason else by}"


def entered(record: KernelsEntered) -> str:
    """What the library had for a run."""
    text = f"{_counted(len(record.entered), 'kernel')} of the library may enter races"
    if record.trouble:
        text += f"; the library failed ({record.trouble}), the run goes on without it"
    return text


def delivered(delivery: KernelsDelivered) -> str:
    """How a delivery to the library went."""
    counts = {"kernel": delivery.kernels, "report": delivery.reports}
    given = " and ".join(_counted(number, name) for name, number in counts.items() if number)
    text = f"the library took {given}" if given else "there was nothing for the library"
    if delivery.refused:
        text += f"; it refused {wording.count(delivery.refused)}, kept as *.refused in the outbox"
    if delivery.left:
        text = text if given else "the library took nothing"
        text += (
            f"; {wording.count(delivery.left)} left in the outbox ({delivery.trouble}): "
            "send them later with `esper report RUN --send`"
        )
    return text


def _counted(number: int, what: str) -> str:
    return f"{wording.count(number)} {what}{'' if number == 1 else 's'}"


_TELLERS: Final[Mapping[type, Callable[[Any], str]]] = {
    RaceStarted: _race_started,
    RungFinished: _rung_finished,
    RaceDecided: _race_decided,
    SeedGerminated: lambda e: (
        f"{joined(e.blueprint or 'a kernel', e.mode, e.layer_name)} is installed "
        f"({wording.count(e.parameters)} parameters)"
    ),
    GraftStarted: lambda e: (
        f"graft begins: {e.blueprint or 'the kernel'} blends into {place(e.layer_name)} over "
        f"{wording.count(e.duration_steps)} steps ({e.schedule})"
    ),
    LearningRateRewarmed: lambda e: (
        f"learning rate warms up again to {e.peak:.2g} over {wording.count(e.warmup_steps)} steps"
    ),
    SeedRetreated: lambda e: f"retreat at {place(e.layer_name)}{_because(e.reason)}",
    SeedFossilized: _fossilized,
    SeedCulled: lambda e: (
        f"{e.blueprint or 'the kernel'} is taken out of {place(e.layer_name)}"
        f"{_held_out(e.report)}{_because(e.reason)}"
    ),
    SeedIsolated: lambda e: (
        f"the kernel in {place(e.layer_name)} failed {e.failures} times and is bypassed"
        f"{_because(e.reason)}"
    ),
    RolledBack: lambda e: f"rolled back to step {wording.count(e.to_step)}{_because(e.reason)}",
    CommandCarriedOut: lambda e: f"command carried out: {e.command}",
    CommandRefused: lambda e: f"command refused: {e.command}: {e.reason}",
    RunResumed: lambda e: f"going on from the checkpoint of step {wording.count(e.step)}",
    RunInterrupted: _interrupted,
    CheckpointFailed: lambda e: f"a checkpoint could not be written: {e.error}",
    RunEnded: lambda _: "the run ended",
    KernelsEntered: entered,
    KernelsDelivered: delivered,
}
"""What is news, and how it is told."""
