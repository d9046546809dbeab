"""Leases: which worker builds which blueprint, until when, and what came of it.

Every lease of a blueprint carries a larger token than the one before, and only the newest token
is obeyed: a worker that was held up, and whose work was given to another, can change nothing any
more. A lease that has expired still counts as long as nobody else took the blueprint.
"""

from __future__ import annotations

import asyncio
from typing import Final

from sqlalchemy import and_, case, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from esper.contracts.enums import BlueprintState
from esper.contracts.errors import LeaseLostError, SubmissionError
from esper.contracts.library import (
    BlueprintRecord,
    KernelRecord,
    KernelRegistration,
    Lease,
    Page,
    ValidationReport,
)
from esper.contracts.lifecycle import BlueprintEvent
from esper.execution.artifact_check import CheckedKernel
from esper.services.urza.blueprints import BLUEPRINT_ROWS, graph_of, moved
from esper.services.urza.change import Change, Store, moment
from esper.services.urza.kernel_rows import KERNEL_ROWS
from esper.services.urza.kernels import Kernels, keep_proven
from esper.services.urza.library_tables import BLUEPRINTS
from esper.services.urza.rows import Stored

_B: Final = BLUEPRINTS.c
_WAITING: Final = _B.state == BlueprintState.UNVALIDATED

StoredBlueprint = Stored[BlueprintRecord]


class Leases:
    """The forge's queue.

    Args:
        store: Where the blueprints are.
        kernels: Checks what workers upload.
        max_attempts: Tries at a blueprint before it is set aside.
    """

    def __init__(self, store: Store, kernels: Kernels, max_attempts: int) -> None:
        self._store = store
        self._kernels = kernels
        self._max_attempts = max_attempts

    async def waiting(self, limit: int = 100) -> Page[BlueprintRecord]:
        """Return the blueprints that wait for a worker, longest first."""
        statement = select(BLUEPRINTS).where(_WAITING).order_by(_B.queued_at, _B.sequence)
        async with self._store.reading() as connection:
            rows = (await connection.execute(statement.limit(limit))).all()
        return Page(items=tuple(map(BLUEPRINT_ROWS.record, rows)))

    async def grant(self, actor: str, worker: str, seconds: float) -> Lease | None:
        """Take the blueprint that has waited longest, or whose worker gave no sign of life.

        A blueprint whose worker died at the last of its tries is set aside as INVALID.
        """
        while True:
            async with self._store.begin(actor, "leases") as change:
                found = await _next(change)
                if found is None:
                    return None
                if found.record.attempts < self._max_attempts:
                    return await _take(change, found, worker, seconds)
                await _set_aside(change, found)

    async def renew(self, actor: str, blueprint_id: str, token: int, seconds: float) -> Lease:
        """Keep a lease for `seconds` from now. Not logged: nothing but a time changes.

        Raises:
            LeaseLostError: It is not the newest lease, or it has ended.
            LibraryNotFoundError: There is no such blueprint.
        """
        async with self._store.begin(actor, "leases") as change:
            found = await BLUEPRINT_ROWS.stored(change.connection, blueprint_id)
            _require_newest(found, token)
            expires = change.now + seconds
            ours = _B.blueprint_id == blueprint_id
            await change.connection.execute(
                update(BLUEPRINTS).where(ours).values(lease_expires_at=expires)
            )
            return _lease(found.record, found.row.lease_worker, token, expires)

    async def complete(
        self,
        actor: str,
        blueprint_id: str,
        token: int,
        registration: KernelRegistration,
        report: ValidationReport,
    ) -> KernelRecord:
        """End a lease with a proven kernel: kernel and blueprint are VALIDATED together.

        Completing again with the same token and kernel gives the same answer.

        Raises:
            LeaseLostError: It is not the newest lease, or it has ended.
            SubmissionError: The file is not stored, is another blueprint's, or its proof failed.
            ArtifactError: The file fails a check of `check_file`, or lacks a trusted signature.
            LibraryNotFoundError: There is no such blueprint.
        """
        if not report.passed:
            raise SubmissionError("the proof did not pass; end the lease with `fail`")
        if registration.blueprint_id not in {None, blueprint_id}:
            raise SubmissionError(
                f"the lease is for the blueprint {blueprint_id}, the registration says "
                f"{registration.blueprint_id}"
            )
        registration = registration.model_copy(update={"blueprint_id": blueprint_id})
        kernel_id = registration.kernel_id
        async with self._store.reading() as connection:
            found = await BLUEPRINT_ROWS.stored(connection, blueprint_id)
            if (done := await _completed(connection, found, token, kernel_id)) is not None:
                return done
        checked = await self._kernels.check(registration)
        await asyncio.to_thread(_check_graph, checked[0], found.record)
        async with self._store.begin(actor, "leases") as change:
            found = await BLUEPRINT_ROWS.stored(change.connection, blueprint_id)
            if (done := await _completed(change.connection, found, token, kernel_id)) is not None:
                return done
            kernel = await keep_proven(change, registration, *checked, report)
            await moved(
                change,
                found.record,
                BlueprintEvent.VALIDATE,
                log={"kernel": kernel_id, "token": token},
                columns={"completed_token": token, "completed_kernel": kernel_id},
                reason="",
                report=report,
                kernels=tuple(dict.fromkeys((*found.record.kernels, kernel_id))),
            )
            return kernel

    async def fail(
        self,
        actor: str,
        blueprint_id: str,
        token: int,
        reason: str,
        report: ValidationReport | None,
        retry: bool,
    ) -> BlueprintRecord:
        """End a lease without a kernel: back into the queue if `retry` and tries are left.

        Raises:
            LeaseLostError: It is not the newest lease, or it has ended.
            LibraryNotFoundError: There is no such blueprint.
        """
        async with self._store.begin(actor, "leases") as change:
            found = await BLUEPRINT_ROWS.stored(change.connection, blueprint_id)
            _require_newest(found, token)
            record = found.record
            event = BlueprintEvent.INVALIDATE
            if retry and record.attempts < self._max_attempts:
                event = BlueprintEvent.RELEASE
            elif retry:
                reason = f"set aside after {record.attempts} tries; the last: {reason}"[:4000]
            report = report or record.report
            log = {"reason": reason}
            return await moved(change, record, event, log=log, reason=reason, report=report)


async def _next(change: Change) -> StoredBlueprint | None:
    expired = and_(_B.state == BlueprintState.COMPILING, _B.lease_expires_at <= change.now)
    since = case((expired, _B.lease_expires_at), else_=_B.queued_at)
    statement = select(BLUEPRINTS).where(or_(_WAITING, expired)).order_by(since, _B.sequence)
    row = (await change.connection.execute(statement.limit(1))).one_or_none()
    return None if row is None else Stored(BLUEPRINT_ROWS.record(row), row)


async def _take(change: Change, found: StoredBlueprint, worker: str, seconds: float) -> Lease:
    held = found.record.blueprint.state is BlueprintState.COMPILING
    events = (BlueprintEvent.RELEASE, BlueprintEvent.LEASE) if held else (BlueprintEvent.LEASE,)
    token, expires = found.row.lease_token + 1, change.now + seconds
    attempts, before = found.record.attempts + 1, found.row.lease_worker
    record = await moved(
        change,
        found.record,
        *events,
        log={"worker": worker, "token": token, "attempt": attempts, "taken_from": before},
        columns={"lease_token": token, "lease_worker": worker, "lease_expires_at": expires},
        attempts=attempts,
    )
    return _lease(record, worker, token, expires)


async def _set_aside(change: Change, found: StoredBlueprint) -> None:
    record = found.record
    reason = f"set aside after {record.attempts} tries"
    events: tuple[BlueprintEvent, ...] = (BlueprintEvent.INVALIDATE,)
    if record.blueprint.state is BlueprintState.UNVALIDATED:
        # The limit was lowered while it waited: it passes through a lease all the same.
        events = (BlueprintEvent.LEASE, BlueprintEvent.INVALIDATE)
    else:
        reason += f": the worker {found.row.lease_worker} died or lost touch at the last"
    await moved(change, record, *events, log={"reason": reason}, reason=reason)


async def _completed(
    connection: AsyncConnection, found: StoredBlueprint, token: int, kernel_id: str
) -> KernelRecord | None:
    """Return the kernel with which the lease was completed already; None if it still holds.

    Raises:
        LeaseLostError: It is not the newest lease, or it has ended otherwise.
    """
    if (found.row.completed_token, found.row.completed_kernel) == (token, kernel_id):
        return await KERNEL_ROWS.read(connection, kernel_id)
    _require_newest(found, token)
    return None


def _require_newest(found: StoredBlueprint, token: int) -> None:
    held = found.record.blueprint.state is BlueprintState.COMPILING
    if not held or found.row.lease_token != token:
        raise LeaseLostError(
            f"lease {token} of blueprint {found.record.blueprint.blueprint_id} has ended: the "
            f"newest is {found.row.lease_token}, and the blueprint is "
            f"{found.record.blueprint.state.value}. Drop the work and take another lease"
        )


def _lease(record: BlueprintRecord, worker: str, token: int, expires: float) -> Lease:
    return Lease(
        blueprint=record.blueprint,
        worker=worker,
        token=token,
        attempt=record.attempts,
        expires_at=moment(expires),
    )


def _check_graph(artifact: CheckedKernel, record: BlueprintRecord) -> None:
    """Refuse a kernel that computes something else than its blueprint says.

    Raises:
        SubmissionError: It does.
    """
    blueprint = record.blueprint
    if artifact.ir != graph_of(blueprint):
        raise SubmissionError(
            f"the kernel's graph is not that of the blueprint {blueprint.blueprint_id}"
        )
    if artifact.metadata.mode is not blueprint.mode:
        raise SubmissionError(
            f"the kernel is {artifact.metadata.mode.value}, its blueprint {blueprint.mode.value}"
        )
