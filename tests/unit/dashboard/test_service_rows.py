from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from esper.contracts.platform_events import ComponentHealth
from esper.contracts.runs import ComponentView
from esper.dashboard.service_rows import service_rows


def seen(*, lost: bool = False, **changed: Any) -> ComponentView:
    known = {
        "component": "urza",
        "instance": "one",
        "status": "healthy",
        "pid": 7,
        "interval_seconds": 5,
    }
    health = ComponentHealth.model_validate({**known, **changed})
    return ComponentView(health=health, seen_at=datetime(2026, 11, 21, tzinfo=UTC), lost=lost)


@pytest.mark.parametrize(
    ("view", "state"),
    [
        (seen(), "healthy"),
        (seen(status="degraded"), "degraded"),
        (seen(lost=True), "lost"),
        (seen(leaving=True, lost=True), "left"),
    ],
)
def test_a_process_is_as_it_says_unless_it_is_gone(view: ComponentView, state: str) -> None:
    assert service_rows([view])[0][0].state == state


def test_who_is_gone_comes_last() -> None:
    rows = service_rows([seen(component="nissa", lost=True), seen(component="urza")])
    assert [view.health.component.value for view, _ in rows] == ["urza", "nissa"]


def test_figures_are_written_out_however_deep_they_stand() -> None:
    details = {
        "kernel_cache": {"hits": 12_345, "misses": 1},
        "rate": 0.12345,
        "up": True,
        "who": "me",
        "queue": [1, 2],
    }
    ((_, figures),) = service_rows([seen(details=details)])
    assert figures == [
        ("kernel cache · hits", "12,345"),
        ("kernel cache · misses", "1"),
        ("rate", "0.123"),
        ("up", "True"),
        ("who", "me"),
        ("queue", "2 entries"),
    ]
