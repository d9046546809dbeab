"""Leases: which worker builds which blueprint, until when, and what came of it.

Every lease of a blueprint carries a larger token than the one before, and only the newest token
is obeyed: a worker that was held up, and whose work was given to another, can change nothing any
more. A lease that has expired still counts as long as nobody else took the blueprint.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from sqlalchemy import and_, case, or_, select, update

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
from esper.contracts.lifecycle import BLUEPRINT_LIFE, BlueprintEvent
from esper.execution.artifact_check import CheckedKernel
from esper.services.urza.blueprints import Stored, graph_of, read_row, stored, update_row
from esper.services.urza.change import Change, Changes, moment
from esper.services.urza.kernel_rows import find_row
from esper.services.urza.kernel_rows import read_row as read_kernel
from esper.services.urza.kernels import Kernels, add_kernel, link, prove_kernel
from esper.services.urza.library_tables import BLUEPRINTS
from esper.storage.database import Database

LONGEST_SECONDS: Final = 3600.0
_B: Final = BLUEPRINTS.c
_NO_LEASE: Final = {"lease_worker": None, "lease_expires_at": None}


class Leases:
    """The forge's queue.

    Args:
        database: Where the blueprints are.
        changes: Of the same database.
        kernels: Checks what workers upload.
        max_attempts: Tries at a blueprint before it is set aside.
    """

    def __init__(
        self, database: Database, changes: Changes, kernels: Kernels, max_attempts: int
    ) -> None:
        self._database = database
        self._changes = changes
        self._kernels = kernels
        self._max_attempts = max_attempts

    async def waiting(self, limit: int = 100) -> Page[BlueprintRecord]:
        """Return the blueprints that wait for a worker, longest first."""
        statement = (
            select(BLUEPRINTS)
            .where(_B.state == BlueprintState.UNVALIDATED.value)
            .order_by(_B.queued_at, _B.sequence)
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement.limit(limit))).all()
        return Page(items=tuple(stored(row).record for row in rows))

    async def grant(self, actor: str, worker: str, seconds: float) -> Lease | None:
        """Take the blueprint that has waited longest, or whose worker gave no sign of life.

        A blueprint whose worker died at the last of its tries is set aside as INVALID.

        Raises:
            SubmissionError: `seconds` is not in (0, 3600].
        """
        _check_seconds(seconds)
        while True:
            async with self._changes.begin(actor, "leases") as change:
                found = await self._next(change)
                if found is None:
                    return None
                if found.record.attempts < self._max_attempts:
                    return await _lease(change, found, worker, seconds)
                await self._set_aside(change, found)

    async def renew(self, actor: str, blueprint_id: str, token: int, seconds: float) -> Lease:
        """Keep a lease for `seconds` from now. Not logged: nothing but a time changes.

        Raises:
            SubmissionError: `seconds` is not in (0, 3600].
            LeaseLostError: It is not the newest lease, or it has ended.
            LibraryNotFoundError: There is no such blueprint.
        """
        _check_seconds(seconds)
        async with self._changes.begin(actor, "leases") as change:
            found = await _held(change, blueprint_id, token)
            expires = change.now + seconds
            await change.connection.execute(
                update(BLUEPRINTS)
                .where(_B.blueprint_id == blueprint_id)
                .values(lease_expires_at=expires)
            )
            return Lease(
                blueprint=found.record.blueprint,
                worker=found.row.lease_worker,
                token=token,
                attempt=found.record.attempts,
                expires_at=moment(expires),
            )

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
        async with self._database.reading() as connection:
            found = await read_row(connection, blueprint_id)
            if _is_done(found, token, registration.kernel_id):
                return await read_kernel(connection, registration.kernel_id)
            _require_newest(found, token)
        artifact, size = await self._kernels.check(registration)
        await asyncio.to_thread(_check_graph, artifact, found)
        async with self._changes.begin(actor, "leases") as change:
            found = await read_row(change.connection, blueprint_id)
            if _is_done(found, token, registration.kernel_id):
                return await read_kernel(change.connection, registration.kernel_id)
            _require_newest(found, token)
            known = await find_row(change.connection, registration.kernel_id)
            if known is None:
                kernel = await add_kernel(change, registration, artifact, size, report)
            else:
                kernel = await prove_kernel(change, known, report)
                await link(change, blueprint_id, registration.kernel_id)
            await _close(change, found, token, registration.kernel_id, report)
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
        async with self._changes.begin(actor, "leases") as change:
            record = (await _held(change, blueprint_id, token)).record
            again = retry and record.attempts < self._max_attempts
            event = BlueprintEvent.RELEASE if again else BlueprintEvent.INVALIDATE
            if retry and not again:
                reason = f"set aside after {record.attempts} tries; the last: {reason}"[:4000]
            return await _end(change, record, event, reason, report)

    async def _next(self, change: Change) -> Stored | None:
        waiting = _B.state == BlueprintState.UNVALIDATED.value
        expired = and_(
            _B.state == BlueprintState.COMPILING.value, _B.lease_expires_at <= change.now
        )
        since = case((expired, _B.lease_expires_at), else_=_B.queued_at)
        statement = select(BLUEPRINTS).where(or_(waiting, expired)).order_by(since, _B.sequence)
        row = (await change.connection.execute(statement.limit(1))).one_or_none()
        return None if row is None else stored(row)

    async def _set_aside(self, change: Change, found: Stored) -> None:
        reason = (
            f"set aside after {found.record.attempts} tries: the worker "
            f"{found.row.lease_worker} died or lost touch at the last"
        )
        if found.record.blueprint.state is BlueprintState.UNVALIDATED:
            # The limit was lowered while it waited: it passes through a lease all the same.
            reason = f"set aside after {found.record.attempts} tries"
            leased = BLUEPRINT_LIFE.advance(found.record.blueprint.state, BlueprintEvent.LEASE)
            record = await update_row(change, found.record, state=leased)
        else:
            record = found.record
        await _end(change, record, BlueprintEvent.INVALIDATE, reason, None)


async def _lease(change: Change, found: Stored, worker: str, seconds: float) -> Lease:
    state = found.record.blueprint.state
    if state is BlueprintState.COMPILING:
        state = BLUEPRINT_LIFE.advance(state, BlueprintEvent.RELEASE)
    token, expires = found.row.lease_token + 1, change.now + seconds
    record = await update_row(
        change,
        found.record,
        {"lease_token": token, "lease_worker": worker, "lease_expires_at": expires},
        state=BLUEPRINT_LIFE.advance(state, BlueprintEvent.LEASE),
        attempts=found.record.attempts + 1,
    )
    await change.record(
        "blueprint.lease",
        record.blueprint.blueprint_id,
        worker=worker,
        token=token,
        attempt=record.attempts,
        taken_from=found.row.lease_worker,
    )
    return Lease(
        blueprint=record.blueprint,
        worker=worker,
        token=token,
        attempt=record.attempts,
        expires_at=moment(expires),
    )


async def _close(
    change: Change, found: Stored, token: int, kernel_id: str, report: ValidationReport
) -> None:
    """Make the blueprint VALIDATED, with its kernel and proof."""
    record = found.record
    kernels = record.kernels if kernel_id in record.kernels else (*record.kernels, kernel_id)
    new = await update_row(
        change,
        record,
        {**_NO_LEASE, "completed_token": token, "completed_kernel": kernel_id},
        state=BLUEPRINT_LIFE.advance(record.blueprint.state, BlueprintEvent.VALIDATE),
        reason="",
        report=report,
        kernels=kernels,
    )
    await change.record(
        "blueprint.validate",
        record.blueprint.blueprint_id,
        kernel=kernel_id,
        token=token,
        revision=new.revision,
    )


async def _end(
    change: Change,
    record: BlueprintRecord,
    event: BlueprintEvent,
    reason: str,
    report: ValidationReport | None,
) -> BlueprintRecord:
    """End a lease without a kernel."""
    columns: dict[str, Any] = dict(_NO_LEASE)
    if event is BlueprintEvent.RELEASE:
        # To the end of the queue: one that fails must not hold up the others.
        columns["queued_at"] = change.now
    new = await update_row(
        change,
        record,
        columns,
        state=BLUEPRINT_LIFE.advance(record.blueprint.state, event),
        reason=reason,
        report=report or record.report,
    )
    await change.record(
        f"blueprint.{event.value}",
        record.blueprint.blueprint_id,
        reason=reason,
        revision=new.revision,
    )
    return new


async def _held(change: Change, blueprint_id: str, token: int) -> Stored:
    found = await read_row(change.connection, blueprint_id)
    _require_newest(found, token)
    return found


def _require_newest(found: Stored, token: int) -> None:
    held = found.record.blueprint.state is BlueprintState.COMPILING
    if not held or found.row.lease_token != token:
        raise LeaseLostError(
            f"lease {token} of blueprint {found.record.blueprint.blueprint_id} has ended: the "
            f"newest is {found.row.lease_token}, and the blueprint is "
            f"{found.record.blueprint.state.value}. Drop the work and take another lease"
        )


def _is_done(found: Stored, token: int, kernel_id: str) -> bool:
    return (found.row.completed_token, found.row.completed_kernel) == (token, kernel_id)


def _check_graph(artifact: CheckedKernel, found: Stored) -> None:
    """Refuse a kernel that computes something else than its blueprint says.

    Raises:
        SubmissionError: It does.
    """
    blueprint = found.record.blueprint
    if artifact.ir != graph_of(blueprint):
        raise SubmissionError(
            f"the kernel's graph is not that of the blueprint {blueprint.blueprint_id}"
        )
    if artifact.metadata.mode is not blueprint.mode:
        raise SubmissionError(
            f"the kernel is {artifact.metadata.mode.value}, its blueprint {blueprint.mode.value}"
        )


def _check_seconds(seconds: float) -> None:
    if not 0 < seconds <= LONGEST_SECONDS:
        raise SubmissionError(f"a lease of {seconds} s; expected more than 0 and at most an hour")
