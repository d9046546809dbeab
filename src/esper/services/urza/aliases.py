"""Aliases: names that point at kernels, moved by compare-and-swap."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Row, insert, select, update

from esper.contracts.enums import KernelStatus
from esper.contracts.errors import LibraryNotFoundError, RevisionConflictError, SubmissionError
from esper.contracts.library import Alias, AliasName, KernelRecord, Page
from esper.services.urza.change import Change, Changes, moment
from esper.services.urza.cursor import decode, page
from esper.services.urza.kernel_rows import id_of, read_row
from esper.services.urza.library_tables import ALIASES
from esper.storage.database import Database

_NAME: Final = TypeAdapter[str](AliasName)
_PRODUCTION: Final = "production"


class Aliases:
    """The aliases."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes

    async def get(self, name: str) -> Alias:
        """Return an alias.

        Raises:
            LibraryNotFoundError: There is none of that name.
        """
        statement = select(ALIASES).where(ALIASES.c.name == name, ALIASES.c.kernel_id.is_not(None))
        async with self._database.reading() as connection:
            row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise _missing(name)
        return alias_of(row)

    async def list(self, cursor: str | None = None, limit: int = 100) -> Page[Alias]:
        """Return the aliases by name.

        Raises:
            SubmissionError: The cursor is not one of this list.
        """
        statement = select(ALIASES).where(ALIASES.c.kernel_id.is_not(None)).order_by(ALIASES.c.name)
        if (key := decode(cursor, str)) is not None:
            statement = statement.where(ALIASES.c.name > key[0])
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement.limit(limit + 1))).all()
        return page(rows, limit, alias_of, lambda row: [row.name])

    async def put(self, actor: str, name: str, kernel_id: str, revision: int | None) -> Alias:
        """Point an alias at a kernel.

        Args:
            actor: Who does it.
            name: `subject@stage`; at the stage `production` only VALIDATED kernels are taken.
            kernel_id: Where it is to point.
            revision: The one that it has; None if it must not exist yet.

        Raises:
            KernelNotFoundError: There is no such kernel.
            SubmissionError: The name is none, or the kernel's status does not do.
            RevisionConflictError: The alias is not at that revision.
        """
        _check_name(name)
        async with self._changes.begin(actor, "aliases") as change:
            row = await _row(change, name)
            _require(row, name, revision)
            _check_status(await read_row(change.connection, kernel_id), name)
            alias = Alias(
                name=name,
                kernel_id=kernel_id,
                revision=row.revision + 1 if row else 1,
                updated_at=change.at,
            )
            values = {
                "kernel_id": kernel_id,
                "revision": alias.revision,
                "updated_at": change.now,
            }
            if row is None:
                await change.connection.execute(insert(ALIASES).values(name=name, **values))
            else:
                await change.connection.execute(
                    update(ALIASES).where(ALIASES.c.name == name).values(values)
                )
            await change.record(
                "alias.put",
                name,
                kernel=kernel_id,
                before=row.kernel_id if row else None,
                revision=alias.revision,
            )
            return alias

    async def delete(self, actor: str, name: str, revision: int) -> None:
        """Remove an alias; its revisions go on if it is made again.

        Raises:
            LibraryNotFoundError: There is none of that name.
            RevisionConflictError: It is not at that revision.
        """
        async with self._changes.begin(actor, "aliases") as change:
            row = await _row(change, name)
            if row is None or row.kernel_id is None:
                raise _missing(name)
            _require(row, name, revision)
            await change.connection.execute(
                update(ALIASES)
                .where(ALIASES.c.name == name)
                .values(kernel_id=None, revision=revision + 1, updated_at=change.now)
            )
            await change.record("alias.delete", name, before=row.kernel_id, revision=revision + 1)


def alias_of(row: Row[Any]) -> Alias:
    """Return the alias in a row that was not deleted."""
    return Alias(
        name=row.name,
        kernel_id=row.kernel_id,
        revision=row.revision,
        updated_at=moment(row.updated_at),
    )


async def _row(change: Change, name: str) -> Row[Any] | None:
    statement = select(ALIASES).where(ALIASES.c.name == name)
    return (await change.connection.execute(statement)).one_or_none()


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


def _check_name(name: str) -> None:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        raise SubmissionError(
            f"{name!r:.140} is no alias; expected subject@stage, such as edge-conv@production"
        ) from None


def _missing(name: str) -> LibraryNotFoundError:
    return LibraryNotFoundError(f"there is no alias {name!r:.140}; GET /aliases/ lists them")
