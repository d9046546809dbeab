"""The moment: what goes on in a run now, or how it came to stand still."""

from __future__ import annotations

from collections.abc import Mapping

from esper.contracts.enums import RunState, SeedState
from esper.contracts.growth import RaceRecord
from esper.report import findings, story, wording
from esper.report.narrate import standing_phrase
from esper.report.run_account import RunAccount
from esper.report.slot_lives import SlotLife


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
            f"{life.blueprint} is being blended into {story.place(life.layer)} since step "
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
    layers = list(dict.fromkeys(story.place(entrant.layer_name) for entrant in race.entrants))
    where = ", ".join(layers[:4]) + (f" and {len(layers) - 4} more" if len(layers) > 4 else "")
    text = f"Race {race.index + 1} is on: {rivals} candidates train in the shadow of {where}"
    if not race.rungs:
        return f"{text}. The first comparison is still to come."
    mark = race.rungs[-1]
    leader = mark.standings[0]
    gain = (
        ""
        if leader.gain is None
        else (f" with a held-out gain of {wording.signed_percent(leader.gain)}")
    )
    return (
        f"{text}. At step {wording.count(mark.step)}, mark {len(race.rungs)}, "
        f"{standing_phrase(leader)} leads{gain}."
    )
