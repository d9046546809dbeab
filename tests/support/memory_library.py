"""A library of kernels in memory: the port `KernelLibrary`, and a switch that takes it away."""

from __future__ import annotations

from collections.abc import Sequence

from esper.contracts.base import utc_now
from esper.contracts.enums import KernelStatus
from esper.contracts.errors import KernelNotFoundError, LibraryUnavailableError, SubmissionError
from esper.contracts.library import (
    KernelOutcome,
    KernelQuery,
    KernelRecord,
    KernelRegistration,
    Signature,
)
from esper.execution.artifact import unpack


class MemoryLibrary:
    """Keeps kernels and reports in dictionaries.

    Args:
        calls_left: calls that are answered before the library is away; None answers all.
    """

    def __init__(self, calls_left: int | None = None) -> None:
        self.calls_left = calls_left
        self.data: dict[str, bytes] = {}
        self.records: dict[str, KernelRecord] = {}
        self.outcomes: dict[str, KernelOutcome] = {}
        self.signed: dict[str, tuple[Signature, ...]] = {}
        """Signatures by kernel's id."""
        self.refused: set[str] = set()
        """Ids of kernels and reports that it takes from nobody."""

    def put(self, data: bytes, *, gain: float | None = None, **fields: object) -> str:
        """Store a kernel as it would be known after some runs."""
        record = self.deposit(data, KernelRegistration(kernel_id=unpack(data).kernel_id))
        kernel_id = record.metadata.kernel_id
        assert kernel_id is not None
        known = {"proven_gain": gain, "status": KernelStatus.VALIDATED, **fields}
        self.records[kernel_id] = record.model_copy(update=known)
        return kernel_id

    def fetch(self, kernel_id: str) -> bytes:
        self._answer()
        try:
            return self.data[kernel_id]
        except KeyError:
            raise KernelNotFoundError(f"no kernel {kernel_id}") from None

    def signatures(self, kernel_id: str) -> Sequence[Signature]:
        self._answer()
        return self.signed.get(kernel_id, ())

    def search(self, query: KernelQuery, *, limit: int) -> Sequence[KernelRecord]:
        self._answer()
        found = [r for r in self.records.values() if _fits(r, query)]
        return sorted(found, key=lambda r: -(r.proven_gain or 0.0))[:limit]

    def deposit(self, data: bytes, registration: KernelRegistration) -> KernelRecord:
        self._answer()
        if registration.kernel_id in self.refused:
            raise SubmissionError("not this one")
        kernel = unpack(data, expected_id=registration.kernel_id)
        self.data[kernel.kernel_id] = data
        return self.records.setdefault(
            kernel.kernel_id,
            KernelRecord(
                metadata=kernel.metadata,
                host=registration.host,
                tags=registration.tags,
                size_bytes=len(data),
                stored_at=utc_now(),
            ),
        )

    def report(self, outcome: KernelOutcome) -> None:
        self._answer()
        if outcome.report_id in self.refused:
            raise SubmissionError("not this one")
        self.outcomes[outcome.report_id] = outcome

    def _answer(self) -> None:
        if self.calls_left is not None:
            if not self.calls_left:
                raise LibraryUnavailableError("the library is away; try later")
            self.calls_left -= 1


def _fits(record: KernelRecord, query: KernelQuery) -> bool:
    metadata = record.metadata
    return (
        (query.host is None or record.host in ("", query.host))
        and query.mode in (None, metadata.mode)
        and query.status in (None, record.status)
        and query.input_shape in (None, _spelled(metadata.input_shape))
        and query.output_shape in (None, _spelled(metadata.output_shape))
    )


def _spelled(shape: tuple[int | None, ...]) -> str:
    return ",".join("*" if size is None else str(size) for size in shape)
