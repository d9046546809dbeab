"""What a forge works with in tests: blueprints of every kind, and a queue kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock

from esper.blueprints.builder import GraphBuilder
from esper.blueprints.geometry import Geometry
from esper.blueprints.ir import GraphIR
from esper.blueprints.library.catalog import Candidate
from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState, KernelMode, KernelStatus
from esper.contracts.errors import LeaseLostError, LibraryError, SubmissionError
from esper.contracts.library import (
    BlueprintRecord,
    KernelRecord,
    KernelRegistration,
    Lease,
    ValidationReport,
)
from esper.contracts.lifecycle import BLUEPRINT_LIFE, BlueprintEvent
from esper.contracts.ports import Clock
from esper.execution.artifact import unpack
from esper.execution.artifact_check import kernel_id_of, reference_cost
from esper.utils.clock import SystemClock


def blueprint_of(
    ir: GraphIR,
    *,
    mode: KernelMode = KernelMode.REPLACING,
    name: str = "planted/one",
    host: str = "linear",
) -> Blueprint:
    """A blueprint that tells the truth about a graph."""
    price = reference_cost(ir)
    family, _, size = name.partition("/")
    return Blueprint(
        name=name,
        family=family,
        size=size or "one",
        mode=mode,
        architecture=ir.to_dict(),
        input_shape=ir.input_spec.shape,
        output_shape=ir.output_spec.shape,
        parameters=price.parameters,
        flops=price.flops,
        host=host,
        state=BlueprintState.UNVALIDATED,
    )


def blueprint_at(geometry: Geometry, entry: Candidate) -> Blueprint:
    """The blueprint of a candidate of the library."""
    return blueprint_of(entry.ir, mode=entry.mode, name=entry.label, host=geometry.host)


def perceptron(width: int = 16) -> GraphIR:
    """A kernel of three layers that is as it should be."""
    g = GraphBuilder((8,))
    steps = [("linear", {"out_features": width}), ("relu", {}), ("linear", {"out_features": 6})]
    return g.finish(g.chain("x", *steps))


@dataclass
class Entry:
    """One blueprint of a queue."""

    blueprint: Blueprint
    state: BlueprintState = BlueprintState.UNVALIDATED
    attempts: int = 0
    token: int = 0
    expires: float = 0.0
    reason: str = ""
    report: ValidationReport | None = None
    kernels: list[str] = field(default_factory=list)


class MemoryQueue:
    """The port `BlueprintQueue` in memory: leases, fencing and three tries as the library has them."""

    def __init__(self, clock: Clock | None = None, *, max_attempts: int = 3) -> None:
        self._clock = clock or SystemClock()
        self._most = max_attempts
        self._entries: dict[str, Entry] = {}
        self._blobs: dict[str, bytes] = {}
        self._troubles: dict[str, list[LibraryError]] = {}
        self._lock = RLock()
        self.calls: list[str] = []

    def submit(self, blueprint: Blueprint) -> str:
        with self._lock:
            self._entries.setdefault(blueprint.blueprint_id, Entry(blueprint))
            return blueprint.blueprint_id

    def entry(self, blueprint_id: str) -> Entry:
        return self._entries[blueprint_id]

    def fetch(self, kernel_id: str) -> bytes:
        return self._blobs[kernel_id]

    def trouble(self, method: str, errors: Sequence[LibraryError]) -> None:
        """Let the next calls of a method fail."""
        self._troubles[method] = list(errors)

    def lease(self, worker: str, *, seconds: float) -> Lease | None:
        with self._called("lease"):
            now = self._clock.now()
            for entry in self._entries.values():
                dead = entry.state is BlueprintState.COMPILING and entry.expires <= now
                if dead and entry.attempts >= self._most:
                    entry.state = BlueprintState.INVALID
                    entry.reason = f"set aside after {self._most} tries: worker died"
                elif dead or entry.state is BlueprintState.UNVALIDATED:
                    entry.state = BlueprintState.COMPILING
                    entry.attempts += 1
                    entry.token += 1
                    entry.expires = now + seconds
                    return self._lease(entry, worker)
            return None

    def renew(self, lease: Lease, *, seconds: float) -> Lease:
        with self._called("renew"):
            entry = self._held(lease)
            entry.expires = self._clock.now() + seconds
            return self._lease(entry, lease.worker)

    def complete(
        self, lease: Lease, data: bytes, registration: KernelRegistration, report: ValidationReport
    ) -> KernelRecord:
        with self._called("complete"):
            entry = self._held(lease)
            if kernel_id_of(data) != registration.kernel_id or not report.passed:
                raise SubmissionError("not what was registered")
            metadata = unpack(data).metadata
            self._blobs[registration.kernel_id] = data
            entry.kernels.append(registration.kernel_id)
            entry.report = report
            entry.state = BLUEPRINT_LIFE.advance(entry.state, BlueprintEvent.VALIDATE)
            return KernelRecord(
                metadata=metadata,
                blueprint_id=registration.blueprint_id,
                host=registration.host,
                tags=registration.tags,
                status=KernelStatus.VALIDATED,
                size_bytes=len(data),
                report=report,
                stored_at=self._time(self._clock.now()),
            )

    def fail(
        self, lease: Lease, *, reason: str, report: ValidationReport | None, retry: bool
    ) -> BlueprintRecord:
        with self._called("fail"):
            entry = self._held(lease)
            again = retry and entry.attempts < self._most
            event = BlueprintEvent.RELEASE if again else BlueprintEvent.INVALIDATE
            entry.state = BLUEPRINT_LIFE.advance(entry.state, event)
            entry.reason, entry.report = reason, report
            return BlueprintRecord(
                blueprint=entry.blueprint,
                revision=entry.token,
                attempts=entry.attempts,
                reason=reason,
                report=report,
                updated_at=self._time(self._clock.now()),
            )

    def _called(self, method: str) -> RLock:
        self.calls.append(method)
        if waiting := self._troubles.get(method):
            raise waiting.pop(0)
        return self._lock

    def _held(self, lease: Lease) -> Entry:
        entry = self._entries[lease.blueprint.blueprint_id]
        if entry.state is not BlueprintState.COMPILING or entry.token != lease.token:
            raise LeaseLostError(f"token {lease.token} is not the newest")
        return entry

    def _lease(self, entry: Entry, worker: str) -> Lease:
        return Lease(
            blueprint=entry.blueprint,
            worker=worker,
            token=entry.token,
            attempt=entry.attempts,
            expires_at=self._time(entry.expires),
        )

    @staticmethod
    def _time(seconds: float) -> datetime:
        return datetime.fromtimestamp(seconds, tz=UTC)
