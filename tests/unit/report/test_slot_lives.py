from __future__ import annotations

import itertools
from dataclasses import replace

from esper.contracts.enums import SeedState
from esper.contracts.events import SeedIsolated
from esper.report.slot_lives import slot_lives
from support import told_runs


def test_every_slot_of_the_model_has_a_life_from_the_start() -> None:
    lives = slot_lives(told_runs.account())
    assert list(lives) == ["0#0", "0#1", "2#0"]
    assert {life.state for life in lives.values()} == {SeedState.DORMANT}


def test_a_slot_goes_through_the_states_of_its_kernel() -> None:
    life = slot_lives(told_runs.finished())["0#0"]
    assert life.changes == [
        (600, SeedState.TRAINING),
        (1_600, SeedState.GERMINATED),
        (1_600, SeedState.GRAFTING),
        (2_100, SeedState.FOSSILIZED),
    ]
    assert life.host_dropped
    assert life.kernel_parameters == 21_500


def test_a_slot_whose_layer_lost_the_race_is_what_it_was_before() -> None:
    lives = slot_lives(told_runs.finished())
    assert lives["2#0"].changes == [(600, SeedState.TRAINING), (1_600, SeedState.DORMANT)]
    assert lives["0#1"].events == []


def test_a_culled_kernel_is_not_in_the_model() -> None:
    parts = (told_runs.race_lines(), told_runs.decided(), told_runs.graft_lines())
    life = slot_lives(told_runs.account(*parts, told_runs.cull_lines()))["0#0"]
    assert life.state is SeedState.CULLED
    assert not life.holds_kernel


def test_stages_cover_the_run_without_gaps() -> None:
    stages = slot_lives(told_runs.finished())["0#0"].stages(4_000, 4_000)
    assert stages[0].since == 0
    assert stages[-1].until == 4_000
    assert all(a.until == b.since for a, b in itertools.pairwise(stages))
    assert sum(stage.share for stage in stages) == 1.0
    assert SeedState.GERMINATED not in {stage.state for stage in stages}  # it took no step


def test_a_second_race_at_a_layer_is_about_its_next_free_slot() -> None:
    parts = [told_runs.race_lines(), told_runs.decided(), told_runs.graft_lines()]
    again = [{**line, "race": 1, "step": 2_500} for line in told_runs.race_lines()[:1]]
    lives = slot_lives(told_runs.account(*parts, told_runs.fossil_lines(), again))
    assert lives["0#0"].state is SeedState.FOSSILIZED
    assert lives["0#1"].state is SeedState.TRAINING


def test_a_bypassed_kernel_says_why() -> None:
    broken = SeedIsolated(step=3_000, layer_name="0", failures=3, reason="shape mismatch")
    parts = [told_runs.race_lines(), told_runs.decided(), told_runs.graft_lines()]
    lives = slot_lives(told_runs.account(*parts, [told_runs.event(broken)]))
    assert lives["0#0"].trouble == "shape mismatch"


def test_a_layer_that_never_introduced_itself_still_has_a_life() -> None:
    run = told_runs.account(told_runs.race_lines())
    bare = replace(run, lines=run.lines[1:])
    assert set(slot_lives(bare)) == {"0#0", "2#0"}
