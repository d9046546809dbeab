"""What a run took from a library and gave to it, as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from esper.report import wording


def entered(record: Mapping[str, Any]) -> str:
    """What a record of type `library` says."""
    kernels = record["entered"]
    text = f"{_counted(len(kernels), 'kernel')} of the library may enter races"
    if record.get("trouble"):
        text += f"; the library failed ({record['trouble']}), the run goes on without it"
    return text


def delivered(record: Mapping[str, Any]) -> str:
    """What a record of type `delivery` says."""
    given = " and ".join(
        _counted(record[name + "s"], name) for name in ("kernel", "report") if record[name + "s"]
    )
    text = f"the library took {given}" if given else "there was nothing for the library"
    if record["refused"]:
        text += f"; it refused {wording.count(record['refused'])}, kept as *.refused in the outbox"
    if record["left"]:
        text = text if given else "the library took nothing"
        text += (
            f"; {wording.count(record['left'])} left in the outbox ({record['trouble']}): "
            "send them later with `esper report RUN --send`"
        )
    return text


def _counted(number: int, what: str) -> str:
    return f"{wording.count(number)} {what}{'' if number == 1 else 's'}"
