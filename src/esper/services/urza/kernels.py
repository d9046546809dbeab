"""Kernels: what is stored, what is known about it, and whether it may be used."""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Final

from sqlalchemy import Row, insert, select

from esper.contracts.enums import KernelStatus
from esper.contracts.errors import SubmissionError
from esper.contracts.library import (
    KernelQuery,
    KernelRecord,
    KernelRegistration,
    Lineage,
    Page,
    Signature,
    ValidationReport,
)
from esper.contracts.lifecycle import KERNEL_LIFE, KernelEvent
from esper.execution.artifact_check import CheckedKernel, check_file
from esper.execution.trust import TrustPolicy
from esper.services.urza.aliases import alias_of
from esper.services.urza.blobs import Blobs, place_of
from esper.services.urza.blueprints import BLUEPRINT_ROWS
from esper.services.urza.change import Change, Store
from esper.services.urza.field_outcomes import OUTCOME_ROWS
from esper.services.urza.kernel_rows import (
    KERNEL_ROWS,
    ORDER,
    Sort,
    changed,
    fitting,
    id_of,
    lowest_latency,
)
from esper.services.urza.library_tables import ALIASES, BUILDS, KERNEL_TAGS, KERNELS, OUTCOMES
from esper.services.urza.rows import listed

_MOST_RELATED: Final = 1000
"""Siblings, aliases and outcomes that a lineage shows, of each; the lists of their own show all."""
_DOCUMENT: Final = "SELECT document, revision FROM kernels WHERE kernel_id = $1"


class Kernels:
    """The kernels.

    Args:
        store: Where their records are.
        blobs: Where their files are.
        trust: What signatures a kernel needs to be taken; None takes any.
    """

    def __init__(self, store: Store, blobs: Blobs, trust: TrustPolicy | None) -> None:
        self._store = store
        self._blobs = blobs
        self._trust = trust

    async def register(
        self, actor: str, registration: KernelRegistration
    ) -> tuple[KernelRecord, bool]:
        """Make an uploaded file known as a CANDIDATE; return it, and whether it is new.

        A kernel that is known stays as it is.

        Raises:
            SubmissionError: The file is not stored, or the blueprint is not.
            ArtifactError: The file fails a check of `check_file`, or lacks a trusted signature.
        """
        async with self._store.reading() as connection:
            known = await KERNEL_ROWS.find(connection, registration.kernel_id)
        if known is not None:
            return known.record, False
        checked = await self.check(registration)
        async with self._store.begin(actor, "kernels") as change:
            known = await KERNEL_ROWS.find(change.connection, registration.kernel_id)
            if known is not None:
                return known.record, False
            return await _add(change, registration, *checked, report=None), True

    async def check(self, registration: KernelRegistration) -> tuple[CheckedKernel, int]:
        """Return the kernel in a stored file after all checks, and the file's size in bytes.

        Raises:
            SubmissionError: The file is not stored.
            ArtifactError: It fails a check of `check_file`, or lacks a trusted signature.
        """
        if await self._blobs.size(registration.kernel_id) is None:
            raise _not_stored(registration.kernel_id)
        if self._trust is not None:
            self._trust.check(registration.kernel_id, registration.signatures)
        data = await self._blobs.whole(registration.kernel_id)
        artifact = await asyncio.to_thread(check_file, data, expected_id=registration.kernel_id)
        return artifact, len(data)

    async def get_json(self, kernel_id: str) -> tuple[bytes, int]:
        """Return a kernel's record as JSON, and its revision.

        Raises:
            KernelNotFoundError: There is none of that id.
        """
        row = await self._store.database.point(_DOCUMENT, kernel_id)
        if row is None:
            raise KERNEL_ROWS.absence(kernel_id)
        return row[0].encode(), row[1]

    async def search(
        self,
        query: KernelQuery,
        sort: Sort = "gain",
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[KernelRecord]:
        """Return the kernels that fit, best first.

        Raises:
            SubmissionError: The cursor is not one of this list.
        """
        async with self._store.reading() as connection:
            return await listed(
                connection,
                fitting(query),
                KERNEL_ROWS.record,
                ORDER[sort],
                KERNELS.c.kernel_id,
                cursor=cursor,
                limit=limit,
                down=sort == "newest",
            )

    async def move(
        self, actor: str, kernel_id: str, event: KernelEvent, revision: int, reason: str = ""
    ) -> KernelRecord:
        """Move a kernel along its table.

        Raises:
            KernelNotFoundError: There is no such kernel.
            RevisionConflictError: It is not at `revision`.
            IllegalTransitionError: Its status does not allow that.
        """
        async with self._store.begin(actor, "kernels") as change:
            old = await KERNEL_ROWS.read_at(change.connection, kernel_id, revision)
            new = await changed(change, old, status=KERNEL_LIFE.advance(old.status, event))
            await change.record(
                f"kernel.{event.value}",
                kernel_id,
                before=old.status.value,
                after=new.status.value,
                revision=new.revision,
                reason=reason,
            )
            return new

    async def sign(self, actor: str, kernel_id: str, signature: Signature) -> KernelRecord:
        """Add a signature; the same again changes nothing.

        Raises:
            KernelNotFoundError: There is no such kernel.
            ArtifactError: The signature is false, and in the name of a trusted key.
        """
        if self._trust is not None and signature.key_id in self._trust.keys:
            self._trust.check(kernel_id, (signature,))
        async with self._store.begin(actor, "kernels") as change:
            record = await KERNEL_ROWS.read(change.connection, kernel_id)
            if signature in record.signatures:
                return record
            new = await changed(change, record, signatures=(*record.signatures, signature))
            await change.record("kernel.sign", kernel_id, key=signature.key_id)
            return new

    async def lineage(self, kernel_id: str) -> Lineage:
        """Return where a kernel comes from and what became of it, as of one moment.

        Raises:
            KernelNotFoundError: There is no such kernel.
        """
        async with self._store.reading() as connection:
            kernel = await KERNEL_ROWS.read(connection, kernel_id)
            origin = kernel.blueprint_id
            blueprint = origin and await BLUEPRINT_ROWS.find(connection, origin)
            siblings = select(BUILDS).where(
                BUILDS.c.blueprint_id == origin, BUILDS.c.kernel_id != kernel_id
            )
            aliases = select(ALIASES).where(ALIASES.c.kernel_id == kernel_id)
            outcomes = select(OUTCOMES).where(OUTCOMES.c.kernel_id == kernel_id)
            related = functools.partial(listed, connection, cursor=None, limit=_MOST_RELATED)
            return Lineage(
                kernel=kernel,
                blueprint=blueprint.record if blueprint else None,
                siblings=(await related(siblings, _kernel_of, BUILDS.c.sequence)).items,
                aliases=(await related(aliases, alias_of, ALIASES.c.name)).items,
                outcomes=(await related(outcomes, OUTCOME_ROWS.record, OUTCOMES.c.sequence)).items,
            )


def _kernel_of(build: Row[Any]) -> str:
    return str(build.kernel_id)


async def keep_proven(
    change: Change,
    registration: KernelRegistration,
    artifact: CheckedKernel,
    size: int,
    report: ValidationReport,
) -> KernelRecord:
    """Store a kernel with its proof within a change; one that is stored already gets the proof.

    Raises:
        SubmissionError: Its file was collected in the meantime, its blueprint is not stored, or it
            was rejected, which is final.
    """
    known = await KERNEL_ROWS.find(change.connection, registration.kernel_id)
    if known is None:
        return await _add(change, registration, artifact, size, report)
    record = known.record
    if record.status is KernelStatus.REJECTED:
        raise SubmissionError(f"the kernel {id_of(record)} was rejected, which is final")
    fields: dict[str, Any] = {"report": report, "latency_us": lowest_latency(report)}
    if record.status is KernelStatus.CANDIDATE:
        fields["status"] = KERNEL_LIFE.advance(record.status, KernelEvent.VALIDATE)
    new = await changed(change, record, **fields)
    await change.record(
        "kernel.prove", id_of(record), status=new.status.value, revision=new.revision
    )
    await _link(change, registration)
    return new


async def _add(
    change: Change,
    registration: KernelRegistration,
    artifact: CheckedKernel,
    size: int,
    report: ValidationReport | None,
) -> KernelRecord:
    if not (await place_of(change.connection, registration.kernel_id)).present:
        raise _not_stored(registration.kernel_id)
    blueprint_id = registration.blueprint_id
    if blueprint_id and not await BLUEPRINT_ROWS.find(change.connection, blueprint_id):
        raise SubmissionError(
            f"the library has no blueprint {blueprint_id!r}; submit it first, or leave it out"
        )
    record = KernelRecord(
        metadata=artifact.metadata,
        blueprint_id=blueprint_id,
        host=registration.host,
        tags=registration.tags,
        status=KernelStatus.CANDIDATE if report is None else KernelStatus.VALIDATED,
        size_bytes=size,
        report=report,
        signatures=registration.signatures,
        latency_us=lowest_latency(report),
        stored_at=change.at,
    )
    await KERNEL_ROWS.insert(change, record)
    if record.tags:
        key = id_of(record)
        tags = [{"kernel_id": key, "name": n, "value": value} for n, value in record.tags.items()]
        await change.connection.execute(insert(KERNEL_TAGS), tags)
    await _link(change, registration)
    await change.record(
        "kernel.register",
        id_of(record),
        status=record.status.value,
        blueprint=blueprint_id,
        host=record.host,
        tags=dict(record.tags),
    )
    return record


async def _link(change: Change, registration: KernelRegistration) -> None:
    """Write down from which blueprint a kernel was built, if that is stored."""
    if registration.blueprint_id is None:
        return
    build = {"blueprint_id": registration.blueprint_id, "kernel_id": registration.kernel_id}
    known = await change.connection.execute(select(BUILDS).filter_by(**build))
    if known.first() is None:
        new = insert(BUILDS).values(**build, sequence=change.next_sequence)
        await change.connection.execute(new)


def _not_stored(kernel_id: str) -> SubmissionError:
    return SubmissionError(f"no file is stored under {kernel_id}; upload its bytes first")
