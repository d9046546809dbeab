"""Every rule is there, and documented for whoever has to act."""

from __future__ import annotations

import pytest

from docs import pages
from esper.contracts.enums import AlertRule
from esper.services.nissa.alerts.alert_config import AlertConfig
from esper.services.nissa.alerts.platform_rules import platform_rules
from esper.services.nissa.alerts.run_rules import run_rules

RUNBOOK = (pages.ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")


def test_each_alert_has_one_rule() -> None:
    config = AlertConfig()
    rules = [*run_rules(config), *platform_rules(config)]
    assert sorted(rule.rule for rule in rules) == sorted(AlertRule)


@pytest.mark.parametrize("rule", AlertRule)
def test_each_rule_has_its_place_in_the_runbook_with_rule_and_remedy(rule: AlertRule) -> None:
    _, _, rest = RUNBOOK.partition(f"\n## {rule.value}\n")
    section = rest.partition("\n## ")[0]
    assert "**Rule**: " in section
    assert "**What to do**: " in section
    assert len(section) > 200
