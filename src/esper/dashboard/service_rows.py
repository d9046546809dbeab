"""The platform's processes as rows: each with its figures in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from esper.contracts.enums import ComponentName, ComponentStatus
from esper.contracts.runs import ComponentView
from esper.report import wording

ROLES = {
    ComponentName.TOLARIA: "trains",
    ComponentName.TAMIYO: "decides",
    ComponentName.TEZZERET: "builds kernels",
    ComponentName.URZA: "keeps kernels",
    ComponentName.OONA: "carries messages",
    ComponentName.NISSA: "watches",
}
"""What each of them does, in two words."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One process."""

    view: ComponentView
    role: str
    state: str
    """`healthy`, `degraded`, `unhealthy`, `unknown`, `lost` or `left`."""
    figures: Sequence[tuple[str, str]]
    """What it says about itself: name and value."""


def service_rows(components: Sequence[ComponentView]) -> list[Service]:
    """Return the processes: those that are there first, then those that are gone."""
    rows = [_service(view) for view in components]
    return sorted(rows, key=lambda row: (row.state in {"left", "lost"}, row.view.health.component))


def _service(view: ComponentView) -> Service:
    health = view.health
    gone = "left" if health.leaving else "lost" if view.lost else ""
    return Service(
        view=view,
        role=ROLES[health.component],
        state=gone or ComponentStatus(health.status).value,
        figures=list(_figures(health.details)),
    )


def _figures(details: dict[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in details.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _figures(value, f"{label} · ")
        elif isinstance(value, list):
            yield label, f"{len(value)} entries"
        elif isinstance(value, bool) or value is None or isinstance(value, str):
            yield label, str(value)
        elif isinstance(value, int):
            yield label, wording.count(value)
        else:
            yield label, f"{value:.3g}"
