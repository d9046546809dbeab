"""The platform's processes as rows: each with its figures in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from esper.contracts.enums import ComponentName
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


def service_rows(
    components: Sequence[ComponentView],
) -> list[tuple[ComponentView, Sequence[tuple[str, str]]]]:
    """Return the processes, each with the names and values of what it says about itself.

    Those that are there come first, then those that are gone.
    """
    rows = [(view, list(_figures(view.health.details))) for view in components]
    return sorted(rows, key=lambda row: (row[0].state in {"left", "lost"}, row[0].health.component))


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
