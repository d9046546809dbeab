"""Lineage: where a kernel comes from and what became of it, in one look."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select

from esper.contracts.library import KernelOutcome, Lineage
from esper.services.urza import blueprint_rows
from esper.services.urza.aliases import alias_of
from esper.services.urza.kernel_rows import read_row
from esper.services.urza.library_tables import ALIASES, BUILDS, OUTCOMES
from esper.storage.database import Database

MOST: Final = 1000
"""Siblings, aliases and outcomes that are shown, of each; the lists of their own show all."""


async def lineage(database: Database, kernel_id: str) -> Lineage:
    """Return the lineage of a kernel, all of it as of the same moment.

    Raises:
        KernelNotFoundError: There is no such kernel.
    """
    async with database.reading() as connection:
        kernel = await read_row(connection, kernel_id)
        found = kernel.blueprint_id and await blueprint_rows.find_row(
            connection, kernel.blueprint_id
        )
        siblings = await connection.execute(
            select(BUILDS.c.kernel_id)
            .where(BUILDS.c.blueprint_id == kernel.blueprint_id, BUILDS.c.kernel_id != kernel_id)
            .order_by(BUILDS.c.sequence)
            .limit(MOST)
        )
        aliases = await connection.execute(
            select(ALIASES)
            .where(ALIASES.c.kernel_id == kernel_id)
            .order_by(ALIASES.c.name)
            .limit(MOST)
        )
        outcomes = await connection.execute(
            select(OUTCOMES.c.document)
            .where(OUTCOMES.c.kernel_id == kernel_id)
            .order_by(OUTCOMES.c.sequence)
            .limit(MOST)
        )
        return Lineage(
            kernel=kernel,
            blueprint=found.record if found else None,
            siblings=tuple(siblings.scalars()),
            aliases=tuple(map(alias_of, aliases)),
            outcomes=tuple(map(KernelOutcome.model_validate_json, outcomes.scalars())),
        )
