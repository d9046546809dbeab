"""Every rule is there, and documented for whoever has to act."""

from __future__ import annotations

import pytest

from docs import pages
from esper.contracts.enums import AlertRule
from esper.services.nissa.alerts.platform_rules import PLATFORM_RULES
from esper.services.nissa.alerts.run_rules import RUN_RULES

RUNBOOK = (pages.ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")


def test_each_alert_has_one_rule() -> None:
    rules = [*RUN_RULES, *PLATFORM_RULES]
    assert sorted(rule.rule for rule in rules) == sorted(AlertRule)


def test_what_loses_the_work_of_a_run_or_of_the_platform_is_critical() -> None:
    critical = {rule.rule for rule in (*RUN_RULES, *PLATFORM_RULES) if rule.severity == "critical"}
    assert critical == {
        AlertRule.NOT_FINITE,
        AlertRule.GRADIENT_EXPLOSION,
        AlertRule.WORKER_LOST,
    }


@pytest.mark.parametrize("rule", AlertRule)
def test_each_rule_has_its_place_in_the_runbook_with_rule_and_remedy(rule: AlertRule) -> None:
    _, _, rest = RUNBOOK.partition(f"\n## {rule.value}\n")
    section = rest.partition("\n## ")[0]
    assert "**Rule**: " in section
    assert "**What to do**: " in section
    assert len(section) > 200
