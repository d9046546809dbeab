"""Every call that a library answers, one function each: arguments in, `Call` out.

The methods of `UrzaClient` and `AsyncUrzaClient` are these functions, sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState
from esper.contracts.errors import ArtifactError, EsperError, KernelNotFoundError, LibraryError
from esper.contracts.library import (
    Alias,
    AuditEntry,
    AuditVerification,
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
from esper.contracts.lifecycle import BlueprintEvent, KernelEvent
from esper.services.urza.client import core
from esper.services.urza.client.core import Answer, Call

BLOB_TYPE: Final = "application/octet-stream"


# Blueprints ---------------------------------------------------------------------------------------


def submit(blueprint: Blueprint) -> Call[BlueprintRecord]:
    """Store a blueprint; submitting the same again changes nothing."""
    return core.post("/blueprints/", blueprint, BlueprintRecord)


def blueprint(blueprint_id: str) -> Call[BlueprintRecord]:
    """Read one blueprint."""
    return core.getting(f"/blueprints/{core.part(blueprint_id)}", BlueprintRecord)


def blueprints(
    *,
    host: str | None = None,
    state: BlueprintState | None = None,
    family: str | None = None,
    cursor: str | None = None,
    limit: int = core.PAGE,
) -> Call[Page[BlueprintRecord]]:
    """Read a page of the blueprints that fit."""
    params = core.params_of(host=host, state=state, family=family, cursor=cursor, limit=limit)
    return core.getting("/blueprints/", Page[BlueprintRecord], params)


def move_blueprint(
    blueprint_id: str, event: BlueprintEvent, *, revision: int, reason: str = ""
) -> Call[BlueprintRecord]:
    """Move a blueprint that is at `revision` along its table (`lifecycle.py`)."""
    path = f"/blueprints/{core.part(blueprint_id)}/transitions"
    body = {"event": event, "reason": reason}
    return core.post(path, body, BlueprintRecord, headers=core.if_match(revision))


# Leases -------------------------------------------------------------------------------------------


def waiting(*, limit: int = core.PAGE) -> Call[Page[BlueprintRecord]]:
    """Read the blueprints that wait for a worker, the oldest first."""
    path = "/internal/unvalidated-blueprints"
    return core.getting(path, Page[BlueprintRecord], core.params_of(limit=limit))


def lease(worker: str, *, seconds: float) -> Call[Lease | None]:
    """Take the blueprint that has waited longest; None if none waits."""

    def read(answer: Answer) -> Lease | None:
        return None if answer.status == 204 else core.record(Lease)(answer)

    return core.posting("/internal/leases", {"worker": worker, "seconds": seconds}, read)


def renew(lease: Lease, *, seconds: float) -> Call[Lease]:
    """Keep the lease for so many seconds from now."""
    return core.post(_lease(lease, "renew"), {"token": lease.token, "seconds": seconds}, Lease)


def complete(
    lease: Lease, data: bytes, registration: KernelRegistration, report: ValidationReport
) -> Call[KernelRecord]:
    """Store a proven kernel and its report, and end the lease: all of it or nothing."""
    core.check_digest(data, registration)
    body = {
        "token": lease.token,
        "registration": registration,
        "report": report,
    }
    # A blob that no kernel refers to is nothing: what is left if we end after it is collected.
    ended = core.post(_lease(lease, "complete"), body, KernelRecord)
    return replace(ended, first=put_blob(data))


def fail(
    lease: Lease, *, reason: str, report: ValidationReport | None, retry: bool
) -> Call[BlueprintRecord]:
    """End the lease without a kernel; `retry` gives the blueprint back to the queue."""
    body = {
        "token": lease.token,
        "reason": reason,
        "report": report,
        "retry": retry,
    }
    return core.post(_lease(lease, "fail"), body, BlueprintRecord)


# Blobs --------------------------------------------------------------------------------------------


def put_blob(data: bytes) -> Call[bool]:
    """Store bytes under their SHA-256; return whether they are new."""
    return Call(
        method="PUT",
        path=f"/blobs/{core.digest_of(data)}",
        read=lambda answer: answer.status == 201,
        headers={"content-type": BLOB_TYPE},
        content=data,
        repeatable=True,
    )


def blob_size(digest: str) -> Call[int | None]:
    """Read a blob's size in bytes; None if there is none."""

    def read(answer: Answer) -> int | None:
        text = answer.headers.get("content-length", "")
        if not text.isdecimal():
            raise LibraryError(f"the library gives no size for blob {digest}; update it")
        return int(text)

    return Call(
        method="HEAD",
        path=f"/blobs/{core.part(digest)}",
        read=read,
        missing=lambda _: None,
        repeatable=True,
    )


def fetch(kernel_id: str) -> Call[bytes]:
    """Read a kernel file's bytes, of which no more is known than that their digest is right.

    Raises:
        KernelNotFoundError: The library has no such kernel.
        ArtifactError: What came has another digest.
    """

    def read(answer: Answer) -> bytes:
        found = core.digest_of(answer.content)
        if found != kernel_id:
            raise ArtifactError(
                f"the library sent bytes with the SHA-256 {found} for kernel {kernel_id}: they "
                "were damaged or exchanged on the way or in its store. Nothing of them was kept; "
                "try again, and if it stays so, let the library's keeper check the blob"
            )
        return answer.content

    return Call(
        method="GET",
        path=f"/blobs/{core.part(kernel_id)}",
        read=read,
        missing=_no_such_kernel(kernel_id),
        repeatable=True,
    )


def _no_such_kernel(kernel_id: str) -> Callable[[EsperError], Any]:
    """Return what raises the error of the port `KernelSource`."""

    def missing(refused: EsperError) -> Any:
        raise KernelNotFoundError(
            f"the library has no kernel {kernel_id} ({refused}); look for it with "
            "`esper kernel search`"
        ) from refused

    return missing


# Kernels ------------------------------------------------------------------------------------------


def register(registration: KernelRegistration) -> Call[KernelRecord]:
    """Make a stored blob known as a kernel."""
    return core.post("/kernels/", registration, KernelRecord)


def deposit(data: bytes, registration: KernelRegistration) -> Call[KernelRecord]:
    """Store a kernel file; storing the same again changes nothing."""
    core.check_digest(data, registration)
    return replace(register(registration), first=put_blob(data))


def kernel(kernel_id: str) -> Call[KernelRecord]:
    """Read one kernel's record."""
    return core.getting(f"/kernels/{core.part(kernel_id)}", KernelRecord)


def signatures(kernel_id: str) -> Call[tuple[Signature, ...]]:
    """Read the signatures over a kernel's id that the library has; unchecked.

    Raises:
        KernelNotFoundError: The library has no such kernel.
    """
    asked = kernel(kernel_id)
    return Call(
        method=asked.method,
        path=asked.path,
        read=lambda answer: asked.read(answer).signatures,
        missing=_no_such_kernel(kernel_id),
        repeatable=True,
    )


def kernels(
    query: KernelQuery | None = None,
    *,
    sort: str = "gain",
    cursor: str | None = None,
    limit: int = core.PAGE,
) -> Call[Page[KernelRecord]]:
    """Read a page of the kernels that fit; `sort`: gain, newest, latency or parameters."""
    query = query or KernelQuery()
    fields = query.model_dump(mode="json", exclude_none=True, exclude={"tags"})
    tags = tuple(("tag", f"{key}:{value}") for key, value in query.tags.items())
    params = core.params_of(**fields, sort=sort, cursor=cursor, limit=limit)
    return core.getting("/kernels/", Page[KernelRecord], params + tags)


def move_kernel(
    kernel_id: str, event: KernelEvent, *, revision: int, reason: str = ""
) -> Call[KernelRecord]:
    """Move a kernel that is at `revision` along its table (`lifecycle.py`)."""
    path = f"/kernels/{core.part(kernel_id)}/transitions"
    body = {"event": event, "reason": reason}
    return core.post(path, body, KernelRecord, headers=core.if_match(revision))


def sign(kernel_id: str, signature: Signature) -> Call[KernelRecord]:
    """Add a signature to a kernel's record."""
    return core.post(f"/kernels/{core.part(kernel_id)}/signatures", signature, KernelRecord)


def lineage(kernel_id: str) -> Call[Lineage]:
    """Read where a kernel comes from and what became of it."""
    return core.getting(f"/kernels/{core.part(kernel_id)}/lineage", Lineage)


def outcomes(
    kernel_id: str, *, cursor: str | None = None, limit: int = core.PAGE
) -> Call[Page[KernelOutcome]]:
    """Read a page of a kernel's field reports, oldest first."""
    path = f"/kernels/{core.part(kernel_id)}/field-reports"
    return core.getting(path, Page[KernelOutcome], core.params_of(cursor=cursor, limit=limit))


def report(outcome: KernelOutcome) -> Call[None]:
    """Say what a kernel did in a run; saying it again changes nothing."""
    return core.posting("/field-reports/", outcome, core.nothing)


# Aliases ------------------------------------------------------------------------------------------


def alias(name: str) -> Call[Alias]:
    """Read one alias."""
    return core.getting(_alias(name), Alias)


def aliases(*, cursor: str | None = None, limit: int = core.PAGE) -> Call[Page[Alias]]:
    """Read a page of the aliases, by name."""
    return core.getting("/aliases/", Page[Alias], core.params_of(cursor=cursor, limit=limit))


def set_alias(name: str, kernel_id: str, *, revision: int | None = None) -> Call[Alias]:
    """Point an alias at a kernel.

    Args:
        name: `subject@stage`.
        kernel_id: Where it is to point.
        revision: Where the alias must stand now; None: there must be none yet.
    """
    condition = {"if-none-match": "*"} if revision is None else core.if_match(revision)
    # Not repeatable: where the answer to a success was lost, a second try would report a conflict.
    return Call(
        method="PUT",
        path=_alias(name),
        read=core.record(Alias),
        headers=condition,
        document={"kernel_id": kernel_id},
    )


def delete_alias(name: str, *, revision: int) -> Call[None]:
    """Remove an alias that is at `revision`."""
    headers = core.if_match(revision)
    return Call(method="DELETE", path=_alias(name), read=core.nothing, headers=headers)


# Keeping the library ------------------------------------------------------------------------------


def audit(*, cursor: str | None = None, limit: int = core.PAGE) -> Call[Page[AuditEntry]]:
    """Read a page of the audit log, oldest first."""
    return core.getting("/audit/", Page[AuditEntry], core.params_of(cursor=cursor, limit=limit))


def verify_audit() -> Call[int]:
    """Have the whole audit log checked; return how many entries it has."""
    return Call(
        method="GET",
        path="/audit/verification",
        read=lambda answer: core.record(AuditVerification)(answer).entries,
        repeatable=True,
    )


def collect_garbage(
    *, grace_seconds: float | None = None, dry_run: bool = False
) -> Call[GarbageReport]:
    """Remove blobs that no kernel refers to and that are older than the grace period.

    Args:
        grace_seconds: Least age of what is removed; default: the library's setting.
        dry_run: Only count.
    """
    body = {"grace_seconds": grace_seconds, "dry_run": dry_run}
    return core.post("/garbage-collections/", body, GarbageReport)


def issue_token(wanted: TokenRequest) -> Call[IssuedToken]:
    """Make a token; its secret is in the answer and nowhere else."""
    # Without a key, so never repeated: a library that could give the same answer again would have
    # to keep the secret.
    return Call(method="POST", path="/tokens/", read=core.record(IssuedToken), document=wanted)


def tokens(*, cursor: str | None = None, limit: int = core.PAGE) -> Call[Page[TokenRecord]]:
    """Read a page of the tokens, without their secrets."""
    return core.getting("/tokens/", Page[TokenRecord], core.params_of(cursor=cursor, limit=limit))


def revoke_token(token_id: str) -> Call[None]:
    """Take a token back."""
    path = f"/tokens/{core.part(token_id)}"
    return Call(method="DELETE", path=path, read=core.nothing, repeatable=True)


def _alias(name: str) -> str:
    return f"/aliases/{core.part(name)}"


def _lease(held: Lease, action: str) -> str:
    return f"/internal/leases/{core.part(held.blueprint.blueprint_id)}/{action}"
