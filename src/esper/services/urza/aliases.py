"""Aliases: names that point at kernels, moved by compare-and-swap."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from esper.contracts.enums import KernelStatus
from esper.contracts.errors import LibraryNotFoundError, RevisionConflictError, SubmissionError
from esper.contracts.library import Alias, KernelRecord, Page
from esper.services.urza.change import Change, Store, moment
from esper.services.urza.kernel_rows import KERNEL_ROWS, id_of
from esper.services.urza.library_tables import ALIASES
from esper.services.urza.rows import listed

_PRODUCTION: Final = "production"


class Aliases:
    """The aliases."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, name: str) -> Alias:
        """Return an alias.

        Raises:
            LibraryNotFoundError: There is none of that name.
        """
        async with self._store.reading() as connection:
            row = await _row(connection, name)
        if row is None or row.kernel_id is None:
            raise _missing(name)
        return alias_of(row)

    async def list(self, cursor: str | None = None, limit: int = 100) -> Page[Alias]:
        """Return the aliases by name.

        Raises:
            SubmissionError: The cursor is not one of this list.
        """
        there = select(ALIASES).where(ALIASES.c.kernel_id.is_not(None))
        async with self._store.reading() as connection:
            return await listed(
                connection, there, alias_of, ALIASES.c.name, cursor=cursor, limit=limit
            )

    async def put(self, actor: str, name: str, kernel_id: str, revision: int | None) -> Alias:
        """Point an alias at a kernel.

        Args:
            actor: Who does it.
            name: `subject@stage`; at the stage `production` only VALIDATED kernels are taken.
            kernel_id: Where it is to point.
            revision: The one that it has; None if it must not exist yet.

        Raises:
            KernelNotFoundError: There is no such kernel.
            SubmissionError: The kernel's status does not do.
            RevisionConflictError: The alias is not at that revision.
        """
        async with self._store.begin(actor, "aliases") as change:
            row = await _row(change.connection, name)
            _require(row, name, revision)
            _check_status(await KERNEL_ROWS.read(change.connection, kernel_id), name)
            alias = Alias(
                name=name,
                kernel_id=kernel_id,
                revision=row.revision + 1 if row else 1,
                updated_at=change.at,
            )
            before = row.kernel_id if row else None
            await _point(change, name, kernel_id, alias.revision)
            await change.record(
                "alias.put", name, kernel=kernel_id, before=before, revision=alias.revision
            )
            return alias

    async def delete(self, actor: str, name: str, revision: int) -> None:
        """Remove an alias; its revisions go on if it is made again.

        Raises:
            LibraryNotFoundError: There is none of that name.
            RevisionConflictError: It is not at that revision.
        """
        async with self._store.begin(actor, "aliases") as change:
            row = await _row(change.connection, name)
            if row is None or row.kernel_id is None:
                raise _missing(name)
            _require(row, name, revision)
            await _point(change, name, None, revision + 1)
            await change.record("alias.delete", name, before=row.kernel_id, revision=revision + 1)


def alias_of(row: Row[Any]) -> Alias:
    """Return the alias in a row that was not deleted."""
    return Alias(
        name=row.name,
        kernel_id=row.kernel_id,
        revision=row.revision,
        updated_at=moment(row.updated_at),
    )


async def _row(connection: AsyncConnection, name: str) -> Row[Any] | None:
    statement = select(ALIASES).where(ALIASES.c.name == name)
    return (await connection.execute(statement)).one_or_none()


async def _point(change: Change, name: str, kernel_id: str | None, revision: int) -> None:
    values = {"kernel_id": kernel_id, "revision": revision, "updated_at": change.now}
    await change.put(ALIASES, name, **values)


def _require(row: Row[Any] | None, name: str, revision: int | None) -> None:
    exists = row is not None and row.kernel_id is not None
    found = row.revision if row is not None and exists else None
    if found != revision:
        says = f"is at revision {found}" if exists else "does not exist"
        wanted = "not to exist" if revision is None else f"at revision {revision}"
        raise RevisionConflictError(
            f"the alias {name} {says}, expected {wanted}; read it again and decide anew"
        )


def _check_status(kernel: KernelRecord, name: str) -> None:
    stage = name.partition("@")[2]
    if kernel.status is KernelStatus.REJECTED or (
        stage == _PRODUCTION and kernel.status is not KernelStatus.VALIDATED
    ):
        raise SubmissionError(
            f"the kernel {id_of(kernel)} is {kernel.status.value}; {name} takes only kernels that "
            + ("are validated" if stage == _PRODUCTION else "were not rejected")
        )


def _missing(name: str) -> LibraryNotFoundError:
    return LibraryNotFoundError(f"there is no alias {name!r:.140}; GET /aliases/ lists them")
