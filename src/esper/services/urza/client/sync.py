"""UrzaClient: a library over HTTP. Implements the ports BlueprintQueue and KernelLibrary."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar
from uuid import uuid4

import httpx

from esper.contracts.asset_lifecycle import BlueprintEvent, KernelEvent
from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState
from esper.contracts.errors import KernelNotFoundError, LibraryNotFoundError
from esper.contracts.library import (
    Alias,
    AuditEntry,
    BlueprintRecord,
    GarbageReport,
    IssuedToken,
    KernelOutcome,
    KernelQuery,
    KernelRecord,
    KernelRegistration,
    Lease,
    Lineage,
    Page,
    Signature,
    TokenRecord,
    TokenRequest,
    ValidationReport,
)
from esper.services.urza.client import calls, core, http_wire
from esper.services.urza.client.client_config import ClientConfig

Result = TypeVar("Result")

PAGE: Final = 100
"""Records in one answer, where nobody says otherwise."""


class UrzaClient:
    """A library at a URL. One object may serve several threads.

    Calls that may safely be repeated are, with growing random pauses, while the library is away or
    busy: reads, uploads, and what carries an idempotency key. Setting an alias and issuing a token
    are tried once.

    Args:
        url: Where the library is, for example `http://127.0.0.1:8420`.
        token: What the library issued; None for what may be read without one.
        timeout: Longest wait for a connection, and between two pieces of an answer, seconds.
        retries: Further tries.
        config: All of it, in place of the others.
        draw: Returns random numbers in [0, 1) for the pauses.
        sleep: Pauses for so many seconds.

    Raises:
        ConfigError: The address is no URL, or the token would travel in the clear.
        LibraryError: From every method; see `errors.py`. LibraryUnavailableError says that trying
            later may help.
    """

    def __init__(
        self,
        url: str = "",
        token: str | None = None,
        *,
        timeout: float = 30.0,
        retries: int = 3,
        config: ClientConfig | None = None,
        draw: Callable[[], float] = random.random,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.config = config or ClientConfig(
            url=url, token=token, timeout_seconds=timeout, retries=retries
        )
        self._draw = draw
        self._sleep = sleep
        # A proxy that serves the outside has no way back to this machine.
        self._http = httpx.Client(
            timeout=self.config.timeout_seconds, trust_env=not self.config.is_loopback
        )

    def close(self) -> None:
        """Release the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # The port BlueprintQueue ----------------------------------------------------------------------

    def lease(self, worker: str, *, seconds: float) -> Lease | None:
        """Take the blueprint that has waited longest; None if none waits."""
        return self._send(calls.lease(worker, seconds=seconds))

    def renew(self, lease: Lease, *, seconds: float) -> Lease:
        """Keep the lease for so many seconds from now."""
        return self._send(calls.renew(lease, seconds=seconds))

    def complete(
        self, lease: Lease, data: bytes, registration: KernelRegistration, report: ValidationReport
    ) -> KernelRecord:
        """Store a proven kernel and its report, and end the lease: all of it or nothing."""
        http_wire.check_digest(data, registration)
        # A blob that no kernel refers to is nothing: what is left if we end here is collected.
        self._send(calls.put_blob(data))
        return self._send(calls.complete(lease, registration, report))

    def fail(
        self, lease: Lease, *, reason: str, report: ValidationReport | None, retry: bool
    ) -> BlueprintRecord:
        """End the lease without a kernel; `retry` gives the blueprint back to the queue."""
        return self._send(calls.fail(lease, reason=reason, report=report, retry=retry))

    # The port KernelLibrary -----------------------------------------------------------------------

    def fetch(self, kernel_id: str) -> bytes:
        """Return a kernel file's bytes, of which no more is known than that their digest is right.

        Raises:
            KernelNotFoundError: The library has no such kernel.
            ArtifactError: What came has another digest.
        """
        try:
            return self._send(calls.fetch(kernel_id))
        except LibraryNotFoundError as error:
            raise calls.no_such_kernel(kernel_id, error) from error

    async def afetch(self, kernel_id: str) -> bytes:
        """Do what `fetch` does without blocking the event loop, in a thread."""
        return await asyncio.to_thread(self.fetch, kernel_id)

    def search(self, query: KernelQuery, *, limit: int) -> Sequence[KernelRecord]:
        """Return the kernels that fit, those with the largest proven gain first."""
        found: list[KernelRecord] = []
        cursor = None
        while len(found) < limit:
            page = self.kernels(query, cursor=cursor, limit=min(PAGE, limit - len(found)))
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        return found[:limit]

    def deposit(self, data: bytes, registration: KernelRegistration) -> KernelRecord:
        """Store a kernel file; storing the same again changes nothing."""
        http_wire.check_digest(data, registration)
        self._send(calls.put_blob(data))
        return self._send(calls.register(registration))

    def report(self, outcome: KernelOutcome) -> None:
        """Say what a kernel did in a run; saying it again changes nothing."""
        self._send(calls.report(outcome))

    def signatures(self, kernel_id: str) -> tuple[Signature, ...]:
        """Return the signatures over a kernel's id that the library has; unchecked.

        Raises:
            KernelNotFoundError: The library has no such kernel.
        """
        try:
            record = self.kernel(kernel_id)
        except LibraryNotFoundError as error:
            raise calls.no_such_kernel(kernel_id, error) from error
        return record.signatures

    # Blueprints -----------------------------------------------------------------------------------

    def submit(self, blueprint: Blueprint) -> BlueprintRecord:
        """Store a blueprint; submitting the same again changes nothing."""
        return self._send(calls.submit_blueprint(blueprint))

    def blueprint(self, blueprint_id: str) -> BlueprintRecord:
        """Return one blueprint."""
        return self._send(calls.blueprint(blueprint_id))

    def blueprints(
        self,
        *,
        host: str | None = None,
        state: BlueprintState | None = None,
        family: str | None = None,
        cursor: str | None = None,
        limit: int = PAGE,
    ) -> Page[BlueprintRecord]:
        """Return a page of the blueprints that fit."""
        return self._send(
            calls.blueprints(host=host, state=state, family=family, cursor=cursor, limit=limit)
        )

    def waiting(self, *, limit: int = PAGE) -> Page[BlueprintRecord]:
        """Return the blueprints that wait for a worker, the oldest first."""
        return self._send(calls.waiting(limit=limit))

    def move_blueprint(
        self, blueprint_id: str, event: BlueprintEvent, *, revision: int, reason: str = ""
    ) -> BlueprintRecord:
        """Move a blueprint that is at `revision` along its table (`asset_lifecycle.py`)."""
        return self._send(
            calls.move_blueprint(blueprint_id, event, revision=revision, reason=reason)
        )

    # Blobs ----------------------------------------------------------------------------------------

    def put_blob(self, data: bytes) -> bool:
        """Store bytes under their SHA-256; return whether they are new."""
        return self._send(calls.put_blob(data))

    def blob_size(self, digest: str) -> int | None:
        """Return a blob's size in bytes; None if there is none."""
        try:
            return self._send(calls.blob_size(digest))
        except (LibraryNotFoundError, KernelNotFoundError):
            return None

    # Kernels --------------------------------------------------------------------------------------

    def register(self, registration: KernelRegistration) -> KernelRecord:
        """Make a stored blob known as a kernel."""
        return self._send(calls.register(registration))

    def kernel(self, kernel_id: str) -> KernelRecord:
        """Return one kernel's record."""
        return self._send(calls.kernel(kernel_id))

    def kernels(
        self,
        query: KernelQuery | None = None,
        *,
        sort: str = "gain",
        cursor: str | None = None,
        limit: int = PAGE,
    ) -> Page[KernelRecord]:
        """Return a page of the kernels that fit; `sort`: gain, newest, latency or parameters."""
        query = query or KernelQuery()
        return self._send(calls.kernels(query, sort=sort, cursor=cursor, limit=limit))

    def move_kernel(
        self, kernel_id: str, event: KernelEvent, *, revision: int, reason: str = ""
    ) -> KernelRecord:
        """Move a kernel that is at `revision` along its table (`asset_lifecycle.py`)."""
        return self._send(calls.move_kernel(kernel_id, event, revision=revision, reason=reason))

    def sign(self, kernel_id: str, signature: Signature) -> KernelRecord:
        """Add a signature to a kernel's record."""
        return self._send(calls.sign_kernel(kernel_id, signature))

    def lineage(self, kernel_id: str) -> Lineage:
        """Return where a kernel comes from and what became of it."""
        return self._send(calls.lineage(kernel_id))

    def outcomes(
        self, kernel_id: str, *, cursor: str | None = None, limit: int = PAGE
    ) -> Page[KernelOutcome]:
        """Return a page of a kernel's field reports, oldest first."""
        return self._send(calls.outcomes(kernel_id, cursor=cursor, limit=limit))

    # Aliases --------------------------------------------------------------------------------------

    def alias(self, name: str) -> Alias:
        """Return one alias."""
        return self._send(calls.alias(name))

    def aliases(self, *, cursor: str | None = None, limit: int = PAGE) -> Page[Alias]:
        """Return a page of the aliases, by name."""
        return self._send(calls.aliases(cursor=cursor, limit=limit))

    def set_alias(self, name: str, kernel_id: str, *, revision: int | None = None) -> Alias:
        """Point an alias at a kernel.

        Args:
            name: `subject@stage`.
            kernel_id: Where it is to point.
            revision: Where the alias must stand now; None: there must be none yet.
        """
        return self._send(calls.set_alias(name, kernel_id, revision=revision))

    def delete_alias(self, name: str, *, revision: int) -> None:
        """Remove an alias that is at `revision`."""
        self._send(calls.delete_alias(name, revision=revision))

    # Keeping the library --------------------------------------------------------------------------

    def audit(self, *, cursor: str | None = None, limit: int = PAGE) -> Page[AuditEntry]:
        """Return a page of the audit log, oldest first."""
        return self._send(calls.audit(cursor=cursor, limit=limit))

    def verify_audit(self) -> int:
        """Have the whole audit log checked; return how many entries it has."""
        return self._send(calls.verify_audit()).entries

    def collect_garbage(
        self, *, grace_seconds: float | None = None, dry_run: bool = False
    ) -> GarbageReport:
        """Remove blobs that no kernel refers to and that are older than the grace period.

        Args:
            grace_seconds: Least age of what is removed; default: the library's setting.
            dry_run: Only count.
        """
        return self._send(calls.collect_garbage(grace_seconds=grace_seconds, dry_run=dry_run))

    def issue_token(self, wanted: TokenRequest) -> IssuedToken:
        """Make a token; its secret is in the answer and nowhere else."""
        return self._send(calls.issue_token(wanted))

    def tokens(self, *, cursor: str | None = None, limit: int = PAGE) -> Page[TokenRecord]:
        """Return a page of the tokens, without their secrets."""
        return self._send(calls.tokens(cursor=cursor, limit=limit))

    def revoke_token(self, token_id: str) -> None:
        """Take a token back."""
        self._send(calls.revoke_token(token_id))

    # How a call is carried out --------------------------------------------------------------------

    def _send(self, call: core.Call[Result]) -> Result:
        request = core.request_of(call, self.config, uuid4().hex)
        tries = 0
        while True:
            tries += 1
            answer, failure = None, None
            try:
                answer = self._exchange(request)
            except httpx.RequestError as error:
                failure = error
            pause = core.delay_before_retry(
                call, self.config, tries=tries, answer=answer, draw=self._draw
            )
            if answer is not None and (answer.status < 300 or pause is None):
                return core.result_of(call, answer, request)
            if pause is None:
                assert failure is not None  # there is an answer or a failure
                raise core.unreachable(self.config, failure, tries) from failure
            self._sleep(pause)

    def _exchange(self, request: core.Request) -> core.Answer:
        built = self._http.build_request(
            request.method,
            request.url,
            params=list(request.params),
            headers=dict(request.headers),
            content=request.content,
        )
        response = self._http.send(built, stream=True)
        try:
            content = bytearray()
            for piece in response.iter_bytes():
                content += piece
                if len(content) > self.config.max_bytes:
                    raise core.too_large(self.config, request)
        finally:
            response.close()
        return core.Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            content=bytes(content),
        )
