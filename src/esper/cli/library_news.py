"""What a run took from a library and gave to it, as sentences."""

from __future__ import annotations

from esper.contracts.records import KernelsDelivered, KernelsEntered
from esper.report import wording


def entered(record: KernelsEntered) -> str:
    """What the library had for a run."""
    text = f"{_counted(len(record.entered), 'kernel')} of the library may enter races"
    if record.trouble:
        text += f"; the library failed ({record.trouble}), the run goes on without it"
    return text


def delivered(delivery: KernelsDelivered) -> str:
    """How a delivery to the library went."""
    counts = {"kernel": delivery.kernels, "report": delivery.reports}
    given = " and ".join(_counted(number, name) for name, number in counts.items() if number)
    text = f"the library took {given}" if given else "there was nothing for the library"
    if delivery.refused:
        text += f"; it refused {wording.count(delivery.refused)}, kept as *.refused in the outbox"
    if delivery.left:
        text = text if given else "the library took nothing"
        text += (
            f"; {wording.count(delivery.left)} left in the outbox ({delivery.trouble}): "
            "send them later with `esper report RUN --send`"
        )
    return text


def _counted(number: int, what: str) -> str:
    return f"{wording.count(number)} {what}{'' if number == 1 else 's'}"
