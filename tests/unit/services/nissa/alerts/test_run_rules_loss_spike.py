"""A train loss that jumps far above its recent values."""

from __future__ import annotations

import math

from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.run_rules import LossSpike
from support.alert_lines import findings, step


def _curve(count: int) -> list[float]:
    return [2.0 * math.exp(-n / 40) + 0.02 * math.sin(n * 1.7) for n in range(count)]


def test_a_jump_of_the_train_loss_is_found_and_over_when_the_loss_is_back() -> None:
    lines = [step(50 * n, loss) for n, loss in enumerate(_curve(40))]
    said = findings(LossSpike(AlertConfig()), [*lines, step(2000, 9.0), step(2050, 0.75)])
    assert not any(finding for found in said[:40] for finding in found.values())
    found = said[40][""]
    assert found is not None
    assert "9" in found
    assert "step 2000" in found
    assert said[41] == {"": None}


def test_a_loss_that_falls_or_wanders_is_no_spike() -> None:
    said = findings(LossSpike(AlertConfig()), [step(n, 1 + n % 3 / 10) for n in range(100)])
    assert not any(finding for found in said for finding in found.values())


def test_a_flat_curve_may_move_a_little() -> None:
    said = findings(LossSpike(AlertConfig()), [*(step(n, 1.0) for n in range(20)), step(20, 1.4)])
    assert said[-1] == {"": None}


def test_the_first_points_are_compared_with_nothing_and_gaps_are_passed_over() -> None:
    lines = [step(1, 1.0), step(2, 50.0), step(3, None)]
    assert findings(LossSpike(AlertConfig()), lines) == [{}, {}, {}]
