from __future__ import annotations

import pytest

from esper.contracts.events import (
    CheckpointSaved,
    CommandRefused,
    Event,
    GraftEvaluated,
    RaceDecided,
    RolledBack,
    SeedCulled,
    SeedIsolated,
    SeedRetreated,
)
from esper.report.narrate import narrate
from samples.run_folders import events


@pytest.mark.parametrize("event", events(), ids=lambda event: type(event).__name__)
def test_every_growth_event_has_a_sentence_without_internals(event: Event) -> None:
    text = narrate(event)
    assert text
    assert "None" not in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("event", "part"),
    [
        (RaceDecided(step=9, reason="nobody paid the rent."), "without a winner: nobody paid"),
        (SeedCulled(step=9, layer_name="a.b", reason="it hurt"), "layer “a.b”: it hurt"),
        (SeedRetreated(step=9, layer_name="a", reason=""), "retreat at layer “a”"),
        (SeedIsolated(step=9, layer_name="a", failures=3, reason="NaN"), "failed 3 times"),
        (
            CommandRefused(step=9, command_id="1", command="cull 0#0", reason="no kernel there"),
            "refused: cull 0#0: no kernel there",
        ),
        (RolledBack(step=9, to_step=1_500, reason="loss is NaN"), "step 1,500: loss is NaN"),
    ],
)
def test_bad_news_is_told_with_its_reason(event: Event, part: str) -> None:
    text = narrate(event)
    assert text is not None
    assert part in text


def test_a_check_that_was_not_finite_is_not_reported_as_a_gain() -> None:
    event = GraftEvaluated(step=1, layer_name="0", gain=None, ci_low=None, ci_high=None, kept=False)
    text = narrate(event)
    assert text is not None
    assert "not finite; it goes" in text


def test_routine_is_no_news() -> None:
    assert narrate(CheckpointSaved(step=1, path="checkpoint.pt")) is None
