"""Outcomes: field reports of what kernels did in runs, and what they prove together."""

from __future__ import annotations

from sqlalchemy import func, insert, select

from esper.contracts.enums import AdaptationOutcome
from esper.contracts.errors import SubmissionError
from esper.contracts.library import KernelOutcome, Page
from esper.services.urza.change import Change, Changes
from esper.services.urza.cursor import oldest_first
from esper.services.urza.kernel_rows import read_row, update_row
from esper.services.urza.library_tables import OUTCOMES
from esper.storage.database import Database


class Outcomes:
    """The field reports."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes

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
        async with self._changes.begin(actor, "outcomes") as change:
            if await _is_known(change, outcome):
                return False
            kernel = await read_row(change.connection, outcome.kernel_id)
            await change.connection.execute(
                insert(OUTCOMES).values(
                    report_id=outcome.report_id,
                    sequence=change.next_sequence,
                    kernel_id=outcome.kernel_id,
                    run_id=outcome.run_id,
                    document=outcome.model_dump_json(),
                    outcome=outcome.report.outcome.value,
                    gain=outcome.report.gain,
                )
            )
            await update_row(
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
        async with self._database.reading() as connection:
            await read_row(connection, kernel_id)
            return await oldest_first(
                connection,
                OUTCOMES,
                cursor,
                limit,
                lambda row: KernelOutcome.model_validate_json(row.document),
                OUTCOMES.c.kernel_id == kernel_id,
            )


async def _is_known(change: Change, outcome: KernelOutcome) -> bool:
    """Return whether the report is stored already; refuse another one under its id."""
    statement = select(OUTCOMES.c.document).where(OUTCOMES.c.report_id == outcome.report_id)
    known = (await change.connection.execute(statement)).scalar_one_or_none()
    if known is not None and KernelOutcome.model_validate_json(known) != outcome:
        raise SubmissionError(
            f"the id {outcome.report_id!r} belongs to another report; give this a new one"
        )
    return known is not None


async def _proven_gain(change: Change, kernel_id: str) -> float | None:
    """Return the mean gain over the runs that kept the kernel."""
    statement = select(func.avg(OUTCOMES.c.gain)).where(
        OUTCOMES.c.kernel_id == kernel_id,
        OUTCOMES.c.outcome == AdaptationOutcome.FOSSILIZED.value,
    )
    mean = (await change.connection.execute(statement)).scalar_one()
    return None if mean is None else float(mean)
