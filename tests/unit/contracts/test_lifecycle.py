from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from esper.contracts.enums import SeedState
from esper.contracts.errors import IllegalTransitionError
from esper.contracts.lifecycle import (
    SEED_LIFE,
    SeedEvent,
    SeedLifecycleState,
    SeedPhase,
    advance,
    diagram,
    seed_state,
    slot_state,
)

# Written out a second time on purpose: a change of the table must be meant.
EXPECTED = {
    "DORMANT": {"germinate": "ALLOCATED"},
    "ALLOCATED": {"load": "LOADING", "cull": "RETIRING"},
    "LOADING": {"install": "TRAINING", "cull": "RETIRING"},
    "TRAINING": {"blend": "GRAFTING", "cull": "RETIRING", "fail": "ERROR_RECOVERY"},
    "GRAFTING": {
        "retreat": "TRAINING",
        "fossilize": "FOSSILIZED",
        "cull": "RETIRING",
        "fail": "ERROR_RECOVERY",
    },
    "FOSSILIZED": {},
    "RETIRING": {"release": "RECYCLING"},
    "RECYCLING": {"rest": "DORMANT"},
    "ERROR_RECOVERY": {"cull": "RETIRING", "retry": "TRAINING"},
}


@pytest.mark.parametrize("event", SeedEvent)
@pytest.mark.parametrize("phase", SeedPhase)
def test_every_pair_of_phase_and_event_does_what_the_table_says(
    phase: SeedPhase, event: SeedEvent
) -> None:
    target = EXPECTED[phase.name].get(event.value)
    if target is None:
        with pytest.raises(IllegalTransitionError, match=f"{phase.name} cannot {event.value}"):
            advance(phase, event)
    else:
        assert advance(phase, event) is SeedPhase[target]


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        SEED_LIFE.table[SeedPhase.FOSSILIZED, SeedEvent.CULL] = SeedPhase.DORMANT  # type: ignore[index]


def test_the_error_names_the_legal_moves() -> None:
    with pytest.raises(IllegalTransitionError, match="Legal from here: blend, cull, fail"):
        advance(SeedPhase.TRAINING, SeedEvent.FOSSILIZE)
    with pytest.raises(IllegalTransitionError, match="none: this is final"):
        advance(SeedPhase.FOSSILIZED, SeedEvent.CULL)


@given(st.lists(st.sampled_from(SeedEvent), max_size=30))
def test_an_illegal_move_changes_nothing(events: list[SeedEvent]) -> None:
    before = dict(SEED_LIFE.table)
    phase = SeedPhase.DORMANT
    for event in events:
        held = phase
        try:
            phase = advance(phase, event)
        except IllegalTransitionError:
            assert phase is held
            assert event not in SEED_LIFE.events(held)
        else:
            assert event in SEED_LIFE.events(held)
    assert dict(SEED_LIFE.table) == before


def test_every_phase_can_be_reached_from_dormant() -> None:
    reached = {SeedPhase.DORMANT}
    frontier = [SeedPhase.DORMANT]
    while frontier:
        phase = frontier.pop()
        for event in SEED_LIFE.events(phase):
            target = advance(phase, event)
            if target not in reached:
                reached.add(target)
                frontier.append(target)
    assert reached == set(SeedPhase)


def test_only_a_fossilized_seed_cannot_become_dormant_again() -> None:
    reaching = {SeedPhase.DORMANT}
    for _ in SeedPhase:
        reaching |= {
            source for (source, _), target in SEED_LIFE.table.items() if target in reaching
        }
    assert set(SeedPhase) - reaching == {SeedPhase.FOSSILIZED}


class SeedLife(RuleBasedStateMachine):
    """Random lives: however a seed got where it is, its two views agree."""

    def __init__(self) -> None:
        super().__init__()
        self.phase = SeedPhase.DORMANT

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        legal = SEED_LIFE.events(self.phase)
        if legal:
            self.phase = advance(self.phase, data.draw(st.sampled_from(legal)))

    @invariant()
    def both_views_agree(self) -> None:
        slot, seed = slot_state(self.phase), seed_state(self.phase)
        assert (slot is SeedLifecycleState.DORMANT) == (seed is SeedState.DORMANT)
        active = slot is SeedLifecycleState.ACTIVE
        assert not active or seed in {
            SeedState.TRAINING,
            SeedState.GRAFTING,
            SeedState.FOSSILIZED,
        }
        leaving = slot in {SeedLifecycleState.RETIRING, SeedLifecycleState.RECYCLING}
        assert leaving == (seed is SeedState.CULLED)


TestSeedLife = SeedLife.TestCase


def test_both_views_cover_all_their_words() -> None:
    assert {slot_state(phase) for phase in SeedPhase} == set(SeedLifecycleState)
    assert {seed_state(phase) for phase in SeedPhase} == set(SeedState)


def test_phases_fit_a_byte() -> None:
    assert [phase.value for phase in SeedPhase] == list(range(9))


def test_the_diagram_draws_every_move_of_the_table_and_no_other() -> None:
    lines = [line.strip() for line in diagram().splitlines()]
    assert lines[0] == "stateDiagram-v2"
    drawn = {line for line in lines[1:] if "[*]" not in line}
    assert drawn == {
        f"{source.name} --> {target.name}: {event.value}"
        for (source, event), target in SEED_LIFE.table.items()
    }
    assert "[*] --> DORMANT" in lines
    assert "FOSSILIZED --> [*]" in lines
