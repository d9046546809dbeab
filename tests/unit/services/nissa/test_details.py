"""Figures that components send along, whatever shape they have."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from esper.services.nissa.details import CacheCounts
from esper.services.nissa.details import dropped
from esper.services.nissa.details import kernel_cache
from support.alert_lines import component


def test_what_is_sent_is_read() -> None:
    health = component(dropped={"a": 1, "b": 2}, kernel_cache={"hits": 3, "misses": 4, "bytes": 9})
    assert dropped(health) == 3
    assert kernel_cache(health) == CacheCounts(hits=3, misses=4)


@pytest.mark.parametrize("value", ["many", None, [1], {"hits": "3"}])
def test_what_is_of_another_shape_counts_as_not_said(value: JsonValue) -> None:
    health = component(dropped=None, kernel_cache=value)
    assert dropped(health) is None
    assert kernel_cache(health) is None
