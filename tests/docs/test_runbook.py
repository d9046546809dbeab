"""The runbook has a paragraph for each rule, where alerts point."""

from __future__ import annotations

import re

import pytest

from esper.contracts.enums import AlertRule
from structure import source


@pytest.mark.parametrize("rule", list(AlertRule))
def test_each_rule_has_a_paragraph_where_its_alerts_point(rule: AlertRule) -> None:
    page, _, anchor = rule.runbook.partition("#")
    text = (source.ROOT / page).read_text(encoding="utf-8")
    found = re.search(rf"^## {anchor}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page} has no paragraph {anchor}"
    assert "**Rule**" in found[1]
    assert "**What to do**" in found[1]


def test_the_runbook_has_no_paragraph_about_a_rule_that_is_gone() -> None:
    text = (source.ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    heads = set(re.findall(r"^## ([a-z_]+)$", text, re.MULTILINE))
    assert heads == {rule.value for rule in AlertRule}
