"""Lines of a log in plain English, one each, for the terminal and for the page's timeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from esper.utils.registry import Registry

Teller = Callable[[Any], str]

_TELLERS: Registry[type, Teller] = Registry("narrated event")


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
    return f"{text}; {leads(leader)}" if left and leader is not None else text


@_TELLERS.register(RaceDecided)
def _race_decided(event: RaceDecided) -> str:
    if event.winner is None:
        return f"race {event.race + 1} ends without a winner{_because(event.reason)}"
    who = kernel_phrase(event.winner)
    return f"race {event.race + 1} is won by {who}{_held_out(event.winner)}"


@_TELLERS.register(SeedGerminated)
def _germinated(event: SeedGerminated) -> str:
    what = joined(event.blueprint or "a kernel", event.mode, event.layer_name)
    return f"{what} is installed ({wording.count(event.parameters)} parameters)"


@_TELLERS.register(GraftStarted)
def _graft_started(event: GraftStarted) -> str:
    what = event.blueprint or "the kernel"
    return (
        f"graft begins: {what} blends into {place(event.layer_name)} over "
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
    return f"retreat at {place(event.layer_name)}{_because(event.reason)}"


@_TELLERS.register(SeedFossilized)
def _fossilized(event: SeedFossilized) -> str:
    host = "; the old layer is gone" if event.host_dropped else ""
    return (
        f"{event.blueprint or 'the kernel'} in {place(event.layer_name)} is permanent"
        f"{_held_out(event.report)}{host}; the model has {wording.count(event.parameters)} parameters"
    )


@_TELLERS.register(SeedCulled)
def _culled(event: SeedCulled) -> str:
    what = event.blueprint or "the kernel"
    reason = _because(event.reason)
    return f"{what} is taken out of {place(event.layer_name)}{_held_out(event.report)}{reason}"


@_TELLERS.register(SeedIsolated)
def _isolated(event: SeedIsolated) -> str:
    return (
        f"the kernel in {place(event.layer_name)} failed {event.failures} times and is "
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


@_TELLERS.register(RunResumed)
def _resumed(line: RunResumed) -> str:
    return f"going on from the checkpoint of step {wording.count(line.step)}"


@_TELLERS.register(RunInterrupted)
def _interrupted(line: RunInterrupted) -> str:
    by = f" by signal {line.signal}" if line.signal else ""
    return f"the run was interrupted{_because(line.reason) if line.reason else by}"


@_TELLERS.register(CheckpointFailed)
def _checkpoint_failed(line: CheckpointFailed) -> str:
    return f"a checkpoint could not be written: {line.error}"


@_TELLERS.register(RunEnded)
def _ended(line: RunEnded) -> str:
    return "the run ended"


@_TELLERS.register(KernelsEntered)
def entered(record: KernelsEntered) -> str:
    """What the library had for a run."""
    text = f"{_counted(len(record.entered), 'kernel')} of the library may enter races"
    if record.trouble:
        text += f"; the library failed ({record.trouble}), the run goes on without it"
    return text


@_TELLERS.register(KernelsDelivered)
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
