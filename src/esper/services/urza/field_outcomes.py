"""Outcomes: field reports of what kernels did in runs, and what they prove together."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import func, select

from esper.contracts.enums import AdaptationOutcome
from esper.contracts.errors import SubmissionError
from esper.contracts.library import KernelOutcome, Page
from esper.services.urza.change import Change, Store
from esper.services.urza.kernel_rows import KERNEL_ROWS, changed
from esper.services.urza.library_tables import OUTCOMES
from esper.services.urza.rows import Rows, listed


def _columns(outcome: KernelOutcome) -> dict[str, Any]:
    return {
        "report_id": outcome.report_id,
        "kernel_id": outcome.kernel_id,
        "run_id": outcome.run_id,
        "outcome": outcome.report.outcome,
        "gain": outcome.report.gain,
    }


OUTCOME_ROWS: Final = Rows(
    table=OUTCOMES,
    kind=KernelOutcome,
    columns=_columns,
    what="field report",
    lister="GET /kernels/{kernel_id}/field-reports",
)
"""The rows of field reports."""


class Outcomes:
    """The field reports."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, actor: str, outcome: KernelOutcome) -> bool:
        """Store a report and what it changes in the kernel's record; return whether it is new.

        Raises:
            KernelNotFoundError: There is no such kernel.
            SubmissionError: The report's id is taken, or it names two kernels.
        """
        if outcome.report.kernel_id not in {None, outcome.kernel_id}:
            raise SubmissionError(
                f"the outcome is of the kernel {outcome.kernel_id}, its field report of "
                f"{outcome.report.kernel_id}; they must be the same"
            )
        async with self._store.begin(actor, "outcomes") as change:
            known = await OUTCOME_ROWS.find(change.connection, outcome.report_id)
            if known is not None:
                if known.record == outcome:
                    return False
                raise SubmissionError(
                    f"the id {outcome.report_id!r} belongs to another report; give this a new one"
                )
            kernel = await KERNEL_ROWS.read(change.connection, outcome.kernel_id)
            await OUTCOME_ROWS.insert(change, outcome)
            await changed(
                change,
                kernel,
                proven_gain=await _proven_gain(change, outcome.kernel_id),
                field_reports=kernel.field_reports + 1,
            )
            await change.record(
                "outcome.add",
                outcome.kernel_id,
                report=outcome.report_id,
                run=outcome.run_id,
                outcome=outcome.report.outcome.value,
                gain=outcome.report.gain,
            )
            return True

    async def of(
        self, kernel_id: str, cursor: str | None = None, limit: int = 100
    ) -> Page[KernelOutcome]:
        """Return a kernel's reports, oldest first.

        Raises:
            KernelNotFoundError: There is no such kernel.
            SubmissionError: The cursor is not one of this list.
        """
        found = select(OUTCOMES).where(OUTCOMES.c.kernel_id == kernel_id)
        order = OUTCOMES.c.sequence
        async with self._store.reading() as connection:
            await KERNEL_ROWS.read(connection, kernel_id)
            return await listed(
                connection, found, OUTCOME_ROWS.record, order, cursor=cursor, limit=limit
            )


async def _proven_gain(change: Change, kernel_id: str) -> float | None:
    """Return the mean gain over the runs that kept the kernel."""
    statement = select(func.avg(OUTCOMES.c.gain)).where(
        OUTCOMES.c.kernel_id == kernel_id,
        OUTCOMES.c.outcome == AdaptationOutcome.FOSSILIZED,
    )
    mean = (await change.connection.execute(statement)).scalar_one()
    return None if mean is None else float(mean)
