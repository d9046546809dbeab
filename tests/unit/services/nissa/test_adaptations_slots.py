from __future__ import annotations

from esper.contracts.enums import KernelMode, SeedState
from esper.contracts.events import GraftStarted, HealthMeasured, SeedFossilized, SeedGerminated
from esper.services.nissa.adaptations import slots_of

START = {"type": "start", "host": {"slots": {"a": 2, "b": 1}}}


def germinated(layer: str, seed_idx: int) -> SeedGerminated:
    return SeedGerminated(step=1, layer_name=layer, seed_idx=seed_idx, mode=KernelMode.RESIDUAL)


def test_slots_that_nothing_happened_to_are_dormant() -> None:
    assert slots_of(START, [HealthMeasured(step=1, signals=())]) == {
        "a": [SeedState.DORMANT, SeedState.DORMANT],
        "b": [SeedState.DORMANT],
    }


def test_each_slot_is_in_the_state_of_its_last_event() -> None:
    graft = GraftStarted(
        step=2,
        layer_name="a",
        seed_idx=1,
        mode=KernelMode.RESIDUAL,
        duration_steps=3,
        schedule="linear",
    )
    kept = SeedFossilized(step=9, layer_name="b", host_dropped=True, parameters=1)
    states = slots_of(START, [germinated("a", 1), germinated("b", 0), graft, kept])
    assert states == {
        "a": [SeedState.DORMANT, SeedState.GRAFTING],
        "b": [SeedState.FOSSILIZED],
    }


def test_a_log_that_does_not_tell_its_slots_shows_those_that_were_used() -> None:
    assert slots_of({"type": "start"}, [germinated("c", 1)]) == {
        "c": [SeedState.DORMANT, SeedState.GERMINATED]
    }
