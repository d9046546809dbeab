"""Every call that a library answers, one function each: arguments in, `Call` out."""

from __future__ import annotations

from typing import Final

from esper.contracts.asset_lifecycle import BlueprintEvent, KernelEvent
from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState
from esper.contracts.errors import ArtifactError, KernelNotFoundError, LibraryError
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
from esper.services.urza.client import http_wire
from esper.services.urza.client.core import Answer, Call

BLOB_TYPE: Final = "application/octet-stream"


# Blueprints ---------------------------------------------------------------------------------------


def submit_blueprint(blueprint: Blueprint) -> Call[BlueprintRecord]:
    """Store a blueprint."""
    return http_wire.post("/blueprints/", blueprint, BlueprintRecord)


def blueprint(blueprint_id: str) -> Call[BlueprintRecord]:
    """Read one blueprint."""
    return http_wire.getting(f"/blueprints/{http_wire.part(blueprint_id)}", BlueprintRecord)


def blueprints(
    *,
    host: str | None,
    state: BlueprintState | None,
    family: str | None,
    cursor: str | None,
    limit: int,
) -> Call[Page[BlueprintRecord]]:
    """Read a page of blueprints."""
    params = http_wire.params_of(host=host, state=state, family=family, cursor=cursor, limit=limit)
    return http_wire.getting("/blueprints/", Page[BlueprintRecord], params)


def move_blueprint(
    blueprint_id: str, event: BlueprintEvent, *, revision: int, reason: str
) -> Call[BlueprintRecord]:
    """Move a blueprint along its table."""
    path = f"/blueprints/{http_wire.part(blueprint_id)}/transitions"
    body = {"event": event, "reason": reason}
    return http_wire.post(path, body, BlueprintRecord, headers=http_wire.if_match(revision))


# Leases -------------------------------------------------------------------------------------------


def waiting(*, limit: int) -> Call[Page[BlueprintRecord]]:
    """Read the blueprints that wait for a worker."""
    path = "/internal/unvalidated-blueprints"
    return http_wire.getting(path, Page[BlueprintRecord], http_wire.params_of(limit=limit))


def lease(worker: str, *, seconds: float) -> Call[Lease | None]:
    """Lease the blueprint that has waited longest."""

    def read(answer: Answer) -> Lease | None:
        return None if answer.status == 204 else http_wire.record(Lease)(answer)

    return http_wire.posting("/internal/leases", {"worker": worker, "seconds": seconds}, read)


def renew(held: Lease, *, seconds: float) -> Call[Lease]:
    """Keep a lease."""
    return http_wire.post(_lease(held, "renew"), {"token": held.token, "seconds": seconds}, Lease)


def complete(
    held: Lease, registration: KernelRegistration, report: ValidationReport
) -> Call[KernelRecord]:
    """End a lease with a kernel whose blob is stored."""
    body = {
        "token": held.token,
        "registration": registration.model_dump(mode="json"),
        "report": report.model_dump(mode="json"),
    }
    return http_wire.post(_lease(held, "complete"), body, KernelRecord)


def fail(
    held: Lease, *, reason: str, report: ValidationReport | None, retry: bool
) -> Call[BlueprintRecord]:
    """End a lease without a kernel."""
    body = {
        "token": held.token,
        "reason": reason,
        "report": None if report is None else report.model_dump(mode="json"),
        "retry": retry,
    }
    return http_wire.post(_lease(held, "fail"), body, BlueprintRecord)


# Blobs --------------------------------------------------------------------------------------------


def put_blob(data: bytes) -> Call[bool]:
    """Store bytes under their digest; the result is whether they are new."""
    return Call(
        method="PUT",
        path=f"/blobs/{http_wire.digest_of(data)}",
        read=lambda answer: answer.status == 201,
        headers={"content-type": BLOB_TYPE},
        content=data,
        repeatable=True,
    )


def blob_size(digest: str) -> Call[int]:
    """Read the size of a blob, in bytes."""

    def read(answer: Answer) -> int:
        text = answer.headers.get("content-length", "")
        if not text.isdecimal():
            raise LibraryError(f"the library gives no size for blob {digest}; update it")
        return int(text)

    return Call(method="HEAD", path=f"/blobs/{http_wire.part(digest)}", read=read, repeatable=True)


def fetch(kernel_id: str) -> Call[bytes]:
    """Read a kernel file's bytes, which must have the digest that was asked for."""

    def read(answer: Answer) -> bytes:
        found = http_wire.digest_of(answer.content)
        if found != kernel_id:
            raise ArtifactError(
                f"the library sent bytes with the SHA-256 {found} for kernel {kernel_id}: they "
                "were damaged or exchanged on the way or in its store. Nothing of them was kept; "
                "try again, and if it stays so, let the library's keeper check the blob"
            )
        return answer.content

    return Call(
        method="GET", path=f"/blobs/{http_wire.part(kernel_id)}", read=read, repeatable=True
    )


def no_such_kernel(kernel_id: str, refused: LibraryError) -> KernelNotFoundError:
    """Return the error of the port `KernelSource` for a blob that is not there."""
    return KernelNotFoundError(
        f"the library has no kernel {kernel_id} ({refused}); look for it with `esper kernel search`"
    )


# Kernels ------------------------------------------------------------------------------------------


def register(registration: KernelRegistration) -> Call[KernelRecord]:
    """Make a stored blob known as a kernel."""
    return http_wire.post("/kernels/", registration, KernelRecord)


def kernel(kernel_id: str) -> Call[KernelRecord]:
    """Read one kernel's record."""
    return http_wire.getting(f"/kernels/{http_wire.part(kernel_id)}", KernelRecord)


def kernels(
    query: KernelQuery, *, sort: str, cursor: str | None, limit: int
) -> Call[Page[KernelRecord]]:
    """Read a page of the kernels that fit."""
    fields = query.model_dump(mode="json", exclude_none=True, exclude={"tags"})
    tags = tuple(("tag", f"{key}:{value}") for key, value in query.tags.items())
    params = http_wire.params_of(**fields, sort=sort, cursor=cursor, limit=limit)
    return http_wire.getting("/kernels/", Page[KernelRecord], params + tags)


def move_kernel(
    kernel_id: str, event: KernelEvent, *, revision: int, reason: str
) -> Call[KernelRecord]:
    """Move a kernel along its table."""
    path = f"/kernels/{http_wire.part(kernel_id)}/transitions"
    body = {"event": event, "reason": reason}
    return http_wire.post(path, body, KernelRecord, headers=http_wire.if_match(revision))


def sign_kernel(kernel_id: str, signature: Signature) -> Call[KernelRecord]:
    """Add a signature to a kernel's record."""
    return http_wire.post(
        f"/kernels/{http_wire.part(kernel_id)}/signatures", signature, KernelRecord
    )


def lineage(kernel_id: str) -> Call[Lineage]:
    """Read where a kernel comes from and what became of it."""
    return http_wire.getting(f"/kernels/{http_wire.part(kernel_id)}/lineage", Lineage)


def outcomes(kernel_id: str, *, cursor: str | None, limit: int) -> Call[Page[KernelOutcome]]:
    """Read a page of a kernel's field reports."""
    path = f"/kernels/{http_wire.part(kernel_id)}/field-reports"
    return http_wire.getting(
        path, Page[KernelOutcome], http_wire.params_of(cursor=cursor, limit=limit)
    )


def report(outcome: KernelOutcome) -> Call[None]:
    """Say what a kernel did in a run."""
    return http_wire.posting("/field-reports/", outcome, http_wire.nothing)


# Aliases ------------------------------------------------------------------------------------------


def alias(name: str) -> Call[Alias]:
    """Read one alias."""
    return http_wire.getting(_alias(name), Alias)


def aliases(*, cursor: str | None, limit: int) -> Call[Page[Alias]]:
    """Read a page of aliases."""
    return http_wire.getting(
        "/aliases/", Page[Alias], http_wire.params_of(cursor=cursor, limit=limit)
    )


def set_alias(name: str, kernel_id: str, *, revision: int | None) -> Call[Alias]:
    """Point an alias at a kernel; without a revision only if there is no such alias yet."""
    condition = {"if-none-match": "*"} if revision is None else http_wire.if_match(revision)
    # Not repeatable: where the answer to a success was lost, a second try would report a conflict.
    return Call(
        method="PUT",
        path=_alias(name),
        read=http_wire.record(Alias),
        headers={"content-type": "application/json", **condition},
        content=http_wire.json_bytes({"kernel_id": kernel_id}),
    )


def delete_alias(name: str, *, revision: int) -> Call[None]:
    """Remove an alias."""
    headers = http_wire.if_match(revision)
    return Call(method="DELETE", path=_alias(name), read=http_wire.nothing, headers=headers)


# Keeping the library ------------------------------------------------------------------------------


def audit(*, cursor: str | None, limit: int) -> Call[Page[AuditEntry]]:
    """Read a page of the audit log."""
    return http_wire.getting(
        "/audit/", Page[AuditEntry], http_wire.params_of(cursor=cursor, limit=limit)
    )


def verify_audit() -> Call[AuditVerification]:
    """Have the whole audit log checked."""
    return http_wire.getting("/audit/verification", AuditVerification)


def collect_garbage(*, grace_seconds: float | None, dry_run: bool) -> Call[GarbageReport]:
    """Remove blobs that no kernel needs."""
    body = {"grace_seconds": grace_seconds, "dry_run": dry_run}
    return http_wire.post("/garbage-collections/", body, GarbageReport)


def issue_token(wanted: TokenRequest) -> Call[IssuedToken]:
    """Make a token."""
    # Without a key, so never repeated: a library that could give the same answer again would have
    # to keep the secret.
    return Call(
        method="POST",
        path="/tokens/",
        read=http_wire.record(IssuedToken),
        headers={"content-type": "application/json"},
        content=http_wire.json_bytes(wanted.model_dump(mode="json")),
    )


def tokens(*, cursor: str | None, limit: int) -> Call[Page[TokenRecord]]:
    """Read a page of the tokens."""
    return http_wire.getting(
        "/tokens/", Page[TokenRecord], http_wire.params_of(cursor=cursor, limit=limit)
    )


def revoke_token(token_id: str) -> Call[None]:
    """Take a token back."""
    path = f"/tokens/{http_wire.part(token_id)}"
    return Call(method="DELETE", path=path, read=http_wire.nothing, repeatable=True)


def _alias(name: str) -> str:
    return f"/aliases/{http_wire.part(name)}"


def _lease(held: Lease, action: str) -> str:
    return f"/internal/leases/{http_wire.part(held.blueprint.blueprint_id)}/{action}"
