"""Losses and measurements that are no numbers."""

from __future__ import annotations

import pytest

from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.run_rules import NotFinite
from support.alert_lines import Parsed, evaluation, findings, health, step


@pytest.mark.parametrize(
    ("broken", "whole", "subject"),
    [
        (step(50, None), step(100, 1.0), "train loss"),
        (evaluation(50, None), evaluation(100, 1.0), "growth loss"),
        (health(50, gradient_norm=float("nan")), health(100, gradient_norm=1.0), "layer 0"),
    ],
)
def test_what_is_no_number_is_found_and_over_when_it_is_one_again(
    broken: Parsed, whole: Parsed, subject: str
) -> None:
    first, second = findings(NotFinite(AlertConfig()), [broken, whole])
    found = first[subject]
    assert found is not None
    assert "step 50" in found
    assert second == {subject: None}
