from __future__ import annotations

from esper.contracts.enums import AlertRule
from esper.dashboard.runbook import RUNBOOK, sections


def test_every_rule_of_alerts_has_its_section() -> None:
    for rule in AlertRule:
        assert "What to do" in RUNBOOK[rule.value]


def test_links_to_other_files_become_words_and_markup_stays_text() -> None:
    found = sections("# Top\n\n## one\n\nsee [this](other.md), <b>\n\n## two\n\n*so*\n")
    assert list(found) == ["one", "two"]
    assert found["one"] == "<p>see this, &lt;b&gt;</p>\n"
