"""The answers to a visitor's questions: what grew, where, why, what it bought, what goes on now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from esper.contracts.enums import KernelMode, RunState, SeedState
from esper.contracts.growth import Evidence, RaceRecord
from esper.dashboard.views.picture import RunPicture, layer_of
from esper.dashboard.views.slot_view import SlotLife
from esper.report import findings, story, wording
from esper.report.findings import Graft
from esper.report.layer_text import layer_text
from esper.report.narrate import standing_phrase


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One kernel that is in the model, and the four answers about it."""

    what: str
    """`family/size`."""
    kernel_id: str | None
    """The kernel file that it began with, if it came from one."""
    parameters: int
    """The kernel's own."""
    layer: str
    host: str
    """What stood there: `Linear 40 → 100`; empty where the run has not said."""
    beside: bool
    """Whether it works beside its host, not in its place."""
    since: int
    """Step at which it came in."""
    settled: bool
    """Whether it was judged and stays for good."""
    chosen: Evidence | None
    """What the race measured, against the model without it."""
    control: Evidence | None
    """What the race measured, against a fresh copy of the layer."""
    rent: float
    """What its size was charged, as a part of the loss."""
    bought: Evidence | None
    """The newest measurement of what it takes away from the loss."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The head of a run's page."""

    headline: str
    """All of it in one sentence."""
    now: str
    """What goes on at this moment, or how the run came to stand still; empty when it is over."""
    kernels: Sequence[Answer]
    """In the order in which they came in."""
    sentences: Sequence[str]
    """The reasons in full; the last says how far they can be trusted."""
    metric_before: float | None
    """Of the model just before the first graft, on the growth split."""
    metric_now: float | None
    """The newest, on the growth split."""


def answers(picture: RunPicture, lives: dict[str, SlotLife]) -> Answers:
    """Answer the four questions about a run, whether it is over or not."""
    kept = [graft for graft in findings.grafts(picture.growth) if graft.stayed]
    told = story.tell(picture.record)
    before, newest = story.growth_metrics(picture.record, kept)
    return Answers(
        headline=told.headline if kept or picture.result else _nothing_yet(picture),
        now=_now(picture, lives),
        kernels=[_answer(picture, graft) for graft in kept],
        sentences=told.sentences if picture.result else (),
        metric_before=before,
        metric_now=newest,
    )


def _answer(picture: RunPicture, graft: Graft) -> Answer:
    candidate, layer = graft.candidate, layer_of(picture, graft.candidate.layer_name)
    return Answer(
        what=findings.blueprint(candidate),
        kernel_id=candidate.kernel_id,
        parameters=candidate.parameters,
        layer=candidate.layer_name,
        host="" if layer is None else f"{layer.kind} {layer_text(layer)}".strip(),
        beside=candidate.mode is KernelMode.RESIDUAL,
        since=graft.chosen.step,
        settled=graft.closed is not None,
        chosen=graft.chosen.evidence,
        control=graft.chosen.against_control,
        rent=graft.chosen.rent,
        bought=graft.verdict.evidence,
    )


def _nothing_yet(picture: RunPicture) -> str:
    if not picture.record.grows:
        return "Growth is off in this run: the model trains as it is."
    undone = [graft for graft in findings.grafts(picture.growth) if not graft.stayed]
    if undone:
        tried = " and ".join(story.kernel_phrase(graft.candidate) for graft in undone)
        return f"Nothing has stayed so far: {tried} was tried in the model and taken out again."
    if not picture.live:
        return "Nothing grew before the run stopped."
    return "Nothing has grown so far."


def _now(picture: RunPicture, lives: dict[str, SlotLife]) -> str:
    if picture.failure is not None:
        return f"The run failed: {picture.failure}"
    if not picture.live:
        return _STOPPED.get(picture.summary.state, "")
    race = picture.open_race
    if race is not None:
        return _race_on(race)
    grafting = [life for life in lives.values() if life.state is SeedState.GRAFTING]
    if grafting:
        life = grafting[-1]
        return (
            f"{life.blueprint} is being blended into {story.place(life.layer)} since step "
            f"{wording.count(life.changes[-1][0])}; then it is judged on held-out data."
        )
    return (
        "Esper watches the training, and looks for more capacity when the held-out loss stops "
        "falling." * picture.record.grows
    )


_STOPPED = {
    RunState.INTERRUPTED: "The run was interrupted; `esper train --resume FOLDER` goes on with it.",
    RunState.LOST: "The run has not been heard of for minutes: it was killed, or is cut off.",
    RunState.FAILED: "The run failed.",
}


def _race_on(race: RaceRecord) -> str:
    rivals = sum(not findings.is_control(entrant) for entrant in race.entrants)
    layers = list(dict.fromkeys(story.place(entrant.layer_name) for entrant in race.entrants))
    where = ", ".join(layers[:4]) + (f" and {len(layers) - 4} more" if len(layers) > 4 else "")
    text = f"Race {race.index + 1} is on: {rivals} candidates train in the shadow of {where}"
    if not race.rungs:
        return f"{text}. The first comparison is still to come."
    mark = race.rungs[-1]
    leader = mark.standings[0]
    gain = "" if leader.gain is None else f" with a held-out gain of {_signed(leader.gain)}"
    return (
        f"{text}. At step {wording.count(mark.step)}, mark {len(race.rungs)}, "
        f"{standing_phrase(leader)} leads{gain}."
    )


def _signed(value: float) -> str:
    return wording.signed_percent(value)
