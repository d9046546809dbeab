"""A growth loss that no longer falls while nothing grows."""

from __future__ import annotations

from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.run_rules import Plateau
from support.alert_lines import (
    evaluation,
    findings,
    graft_started,
    race_decided,
    race_started,
    seed,
)

CONFIG = AlertConfig(plateau_evaluations=5)


def test_a_growth_loss_that_stays_where_it_is_is_found() -> None:
    falling = [evaluation(30 * n, 2.0 - n / 10) for n in range(10)]
    flat = [evaluation(300 + 30 * n, 1.1) for n in range(6)]
    said = findings(Plateau(CONFIG), [*falling, *flat])
    assert not any(finding for found in said[:14] for finding in found.values())
    found = said[14][""]
    assert found is not None
    assert "since step 270" in found


def test_it_is_over_when_the_loss_falls_again() -> None:
    lines = [evaluation(n, 1.0) for n in range(8)]
    said = findings(Plateau(CONFIG), [*lines, evaluation(9, 0.5)])
    assert said[7].get("") is not None
    assert said[8] == {"": None}


def test_what_grows_is_no_plateau_and_growth_begins_the_count_anew() -> None:
    lines = [
        *(evaluation(n, 1.0) for n in range(5)),
        race_started(5),
        *(evaluation(n, 1.0) for n in range(6, 20)),
        race_decided(20),
        graft_started(20),
        *(evaluation(n, 1.0) for n in range(21, 30)),
        seed("SeedFossilized", 30, host_dropped=True, parameters=10),
        *(evaluation(n, 1.0) for n in range(31, 35)),
    ]
    said = findings(Plateau(CONFIG), lines)
    assert not any(finding for found in said for finding in found.values())
    after = findings(Plateau(CONFIG), [*lines, evaluation(36, 1.0)])
    assert after[-1].get("") is not None
