"""The sentences that a person would want: what was added, where, why, and what it bought.

Everything here is derived from the record, says how sure it is, and says so when nothing grew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from esper.contracts.enums import KernelMode, RunState, SeedState
from esper.contracts.growth import GrowthDecision, RaceRecord
from esper.contracts.site import Site
from esper.report import findings, wording
from esper.report.findings import Graft, kernel_phrase
from esper.report.narrate import leads
from esper.report.network import layer_text
from esper.report.run_account import RunAccount
from esper.report.slot_lives import SlotLife
from esper.report.wording import gain, place

MOST_PLACES = 4
"""Layers that a headline names one by one."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """A headline and the sentences that carry it."""

    grown: bool
    headline: str
    sentences: tuple[str, ...]


def tell(run: RunAccount) -> Story:
    """Put a run into words, whether it is over or not."""
    kept = run.kept
    headline = _grown_headline(run, kept) if kept else _static_headline(run)
    if not run.result:
        return Story(grown=bool(kept), headline=headline, sentences=())
    sentences = [
        *([_why(graft) for graft in kept] or _why_not(run)),
        *([_loaded(run)] if kept and run.growth.put_in_from_outside else []),
        *_test_sentence(run),
        *_cost_sentence(run),
        _caveat(run, grown=bool(kept)),
    ]
    return Story(grown=bool(kept), headline=headline, sentences=tuple(sentences))


def _grown_headline(run: RunAccount, kept: Sequence[Graft]) -> str:
    first = kept[0]
    host = host_name(run, first.candidate.layer_name)
    if len(kept) > 1:
        return f"{len(kept)} kernels were added, at {_places(kept)}{_bought(run, kept)}."
    verb = f"now works {findings.beside(first.candidate.layer_name)}"
    if first.candidate.mode is KernelMode.REPLACING:
        verb = "took over"
    what = f"{_article(findings.blueprint(first.candidate))} kernel {verb}"
    return f"{what} {place(first.candidate.layer_name)}{host}{_bought(run, kept)}."


def _places(kept: Sequence[Graft]) -> str:
    places = list(dict.fromkeys(place(graft.candidate.layer_name) for graft in kept))
    if len(places) <= MOST_PLACES:
        return ", ".join(places)
    return f"{', '.join(places[: MOST_PLACES - 1])} and {len(places) - MOST_PLACES + 1} more layers"


def host_name(run: RunAccount, slot: str) -> str:
    """The layer that stood at `slot` before the run, in parentheses, or nothing."""
    layer = run.layer(slot)
    return "" if layer is None else f" ({layer.kind} {layer_text(layer)})".replace(" )", ")")


def _bought(run: RunAccount, kept: Sequence[Graft]) -> str:
    before, after = run.metric_before, run.metric_now
    if before is not None and after is not None:
        start, end = run.score(before), run.score(after)
        when = "at the end" if run.result else "now"
        return f"; {run.metric} on held-out data: {start} just before, {end} {when}"
    evidence = kept[0].verdict.evidence
    return "" if evidence is None else f"; held-out gain {gain(evidence)}"


def _why(graft: Graft) -> str:
    decision, name = graft.verdict, findings.blueprint(graft.candidate)
    evidence, control = decision.evidence, graft.chosen.against_control
    without = "just before the graft" if decision is graft.closed else "without it"
    joined = f"{_sentence(name)} came in at step {wording.count(graft.chosen.step)}"
    if evidence is None:
        return f"{joined}: {_clause(decision.reason)}."
    text = (
        f"{joined}: its held-out gain is {gain(evidence)} against the model {without}, over "
        f"{wording.count(evidence.samples)} held-out samples; the rent for its size is "
        f"{wording.percent(decision.rent)}."
    )
    if control is None:
        return text
    rival = Site.of(graft.candidate.layer_name).control
    return (
        f"{text} More training alone does not explain it: against {rival} after the same race its "
        f"gain is {gain(control)}."
    )


def _static_headline(run: RunAccount) -> str:
    over = bool(run.result)
    if not run.grows:
        return f"Growth {'was' if over else 'is'} off: the host {'was' if over else 'is'} trained as it is."
    if run.growth.put_in_from_outside:
        return f"The run itself added nothing. {_loaded(run)}"
    if run.undone:
        tried = " and ".join(kernel_phrase(graft.candidate) for graft in run.undone)
        return f"Nothing stayed: {tried} was tried in the model and taken out again."
    if not over:
        return (
            "Nothing has grown so far." if run.is_live else "Nothing grew before the run stopped."
        )
    if run.growth.races:
        return "Nothing was added: no candidate was worth its cost, so the model stays as it was."
    return "Nothing was added: the run never saw a reason to look for more capacity."


def _loaded(run: RunAccount) -> str:
    kernels = (f"{one.kind} at {place(one.name)}" for one in run.growth.put_in_from_outside)
    return f"Put in from outside: {', '.join(kernels)}."


def _why_not(run: RunAccount) -> list[str]:
    report = run.growth
    lines = [
        f"{_sentence(kernel_phrase(graft.candidate))} came in at step "
        f"{wording.count(graft.chosen.step)} and went out at step "
        f"{wording.count(graft.closed.step)}: {_clause(graft.closed.reason)}."
        for graft in run.undone
        if graft.closed is not None
    ]
    best = findings.best_declined(report)
    if best is not None:
        lines.append(_closest(run, best))
    if not lines:
        lines = [_sentence(_clause(d.reason)) + "." for d in report.decisions[-1:] if d.reason]
    if report.races and not run.undone and not report.put_in_from_outside:
        lines.append("The model trained exactly as it would have without the search.")
    return lines


def _closest(run: RunAccount, decision: GrowthDecision) -> str:
    assert decision.evidence is not None  # best_declined only returns decisions that have it
    races = len(run.growth.races)
    tried = f"{findings.entrants(run.growth)} candidates in {races} race{'s' * (races != 1)}"
    if decision.candidate is None:
        return f"Of {tried}, none came close: {_clause(decision.reason)}."
    return (
        f"Of {tried}, {kernel_phrase(decision.candidate)} came closest: held-out gain "
        f"{gain(decision.evidence)}, with a rent of {wording.percent(decision.rent)} to pay. "
        f"{_sentence(_clause(decision.reason))}."
    )


def _test_sentence(run: RunAccount) -> list[str]:
    if run.test_metric is None:
        return []
    host = run.host_test_metric
    beside = "" if host is None else f" (the static host: {run.score(host)})"
    text = (
        f"On the test set, which no decision saw and which was measured once, {run.metric} is "
        f"{run.score(run.test_metric)}{beside}."
    )
    return [text]


def _cost_sentence(run: RunAccount) -> list[str]:
    cost, report = run.growth.cost, run.growth
    if not cost.static:
        return []
    change = report.parameters_after - report.parameters_before
    size = (
        "the same number of parameters"
        if change == 0
        else (f"{wording.count(abs(change))} {'more' if change > 0 else 'fewer'} parameters")
    )
    text = (
        f"It cost {wording.multiple(cost.multiple)} the training compute of the static host, "
        f"search included, and leaves a model with {size}."
    )
    return [text]


def _caveat(run: RunAccount, *, grown: bool) -> str:
    which = "" if run.seed is None else f" (seed {run.seed})"
    text = (
        f"This is one run{which}: intervals cover the choice of held-out samples, "
        "not the luck of the seed."
    )
    if grown:
        text += (
            " Part of what came after the graft is ordinary training: the same run with "
            "--no-growth shows what the host reaches by itself."
        )
    return text


def _article(name: str) -> str:
    return f"{'An' if name[:1].lower() in 'aeiou' else 'A'} {name}"


def _clause(text: str) -> str:
    return text.strip().rstrip(".")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def now(run: RunAccount, lives: Mapping[str, SlotLife]) -> str:
    """Say what goes on, or why nothing does; empty when the run came to its end."""
    if run.failure is not None:
        return f"The run failed: {run.failure}"
    if not run.is_live:
        return _STOPPED.get(run.state, "")
    race = run.open_race
    if race is not None:
        return _race_on(race)
    grafting = [life for life in lives.values() if life.state is SeedState.GRAFTING]
    if grafting:
        life = grafting[-1]
        return (
            f"{life.blueprint} is being blended into {place(life.layer)} since step "
            f"{wording.count(life.changes[-1][0])}; then it is judged on held-out data."
        )
    return (
        "Esper watches the training, and looks for more capacity when the held-out loss stops "
        "falling." * run.grows
    )


_STOPPED = {
    RunState.INTERRUPTED: "The run was interrupted; `esper train --resume FOLDER` goes on with it.",
    RunState.LOST: "The run has not been heard of for minutes: it was killed, or is cut off.",
    RunState.FAILED: "The run failed.",
}


def _race_on(race: RaceRecord) -> str:
    rivals = findings.candidates(race.entrants)
    layers = list(dict.fromkeys(place(entrant.layer_name) for entrant in race.entrants))
    where = ", ".join(layers[:4]) + (f" and {len(layers) - 4} more" if len(layers) > 4 else "")
    text = f"Race {race.index + 1} is on: {rivals} candidates train in the shadow of {where}"
    if not race.rungs:
        return f"{text}. The first comparison is still to come."
    mark = race.rungs[-1]
    return (
        f"{text}. At step {wording.count(mark.step)}, mark {len(race.rungs)}, "
        f"{leads(mark.standings[0])}."
    )
