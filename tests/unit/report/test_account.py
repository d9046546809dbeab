from __future__ import annotations

from esper.report.account import cost_account
from samples.run_folders import grown_report


def test_the_account_names_every_share_and_the_whole() -> None:
    drawing = cost_account(grown_report().cost)
    assert drawing is not None
    markup = drawing.svg()
    for part in ("2.24", "0.94", "0.18", "3.36"):
        assert f"{part}\u202f×" in markup


def test_an_unknown_static_cost_is_not_drawn_as_zero() -> None:
    assert cost_account(grown_report().cost.model_copy(update={"static": 0.0})) is None
