"""Figures that components send along, whatever shape they have."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from esper.contracts.runs import ComponentView
from esper.services.nissa.details import counters, present
from support.alert_lines import component, moment


def test_what_is_sent_is_read() -> None:
    health = component(dropped={"a": 1, "b": 2}, kernel_cache={"hits": 3, "misses": 4, "bytes": 9})
    assert counters(health) == {"dropped": 3, "hit": 3, "miss": 4}


@pytest.mark.parametrize("value", ["many", None, [1], {"hits": "3"}])
def test_what_is_of_another_shape_counts_as_not_said(value: JsonValue) -> None:
    health = component(dropped=None, kernel_cache=value)
    assert counters(health) == {}


def test_who_has_left_or_is_forgotten_is_not_present() -> None:
    seen = [
        (component("there"), 3600.0, False),
        (component("missed"), 100.0, True),
        (component("forgotten"), 0.0, True),
        (component("gone", leaving=True), 3600.0, False),
    ]
    views = [ComponentView(health=h, seen_at=moment(at), lost=lost) for h, at, lost in seen]
    names = [view.health.instance for view in present(views, moment(3650))]
    assert names == ["there", "missed"]
