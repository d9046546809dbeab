"""What the library (Urza), the forge (Tezzeret) and trainers tell each other.

Records are what the library answers, with a `revision` that each change raises by one; submissions
are what it is sent. All are frozen pydantic models; none of this imports torch.
"""

from __future__ import annotations

from typing import Annotated, Generic

from pydantic import Field, StringConstraints

from esper.contracts.assets import Blueprint, KernelMetadata
from esper.contracts.base import (
    Contract,
    Count,
    Identifier,
    Item,
    JsonObject,
    KernelId,
    Moment,
    Name,
    NonNegative,
    Positive,
    Series,
    Several,
    Text,
)
from esper.contracts.enums import KernelMode, KernelStatus, Role
from esper.contracts.operational import FieldReport

Slug = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""A short name that is safe in a URL."""

AliasName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}@[A-Za-z0-9][A-Za-z0-9._-]{0,31}$"),
]
"""`subject@stage`, for example `edge-conv@production`."""

Tags = Annotated[
    dict[Slug, Annotated[Name, Field(max_length=200)]],
    Field(max_length=1000),
]
"""Free labels by name: hardware, toolchain, task."""


class Page(Contract, Generic[Item]):
    """A part of a longer list."""

    items: Several[Item]
    """The records, in the list's order."""
    next_cursor: Name | None = None
    """Where the next page begins; None on the last."""


# What the forge finds out -------------------------------------------------------------------------


class Toolchain(Contract):
    """What a kernel was built and measured with."""

    esper: Name
    """Version of this package."""
    torch: Name
    """Version of torch."""
    python: Name
    """Version of Python."""
    machine: Name
    """Processor architecture, for example `x86_64`."""
    device: Name = "cpu"
    """Device of the measurements: `cpu`, or the accelerator's name."""


class Target(Contract):
    """Where and how a kernel's latency is measured."""

    device: Name = "cpu"
    """Device as torch spells it."""
    dtype: Name = "float32"
    """Element type, as torch spells it without the `torch.` prefix."""
    batch_size: Positive
    """Samples in one call."""
    compiled: bool = False
    """Whether it runs under `torch.compile`."""


class Latency(Contract):
    """How long a kernel's forward pass takes on one target."""

    target: Target
    """Where it was measured."""
    median_us: NonNegative
    """Median of the repeated calls, microseconds."""
    worst_us: NonNegative
    """Longest of the repeated calls, microseconds."""
    calls: Positive
    """Calls that were timed."""


class CheckResult(Contract):
    """One check of a proof."""

    name: Slug
    """Which check."""
    passed: bool
    """Whether the kernel met it."""
    detail: Text = ""
    """What was found; what was expected where it failed."""


class ValidationReport(Contract):
    """The proof of one kernel: every check that ran, and what was measured."""

    passed: bool
    """Whether all checks passed."""
    reason: Text = ""
    """The first check that failed, in words; empty if none did."""
    checks: Several[CheckResult] = ()
    """The checks in the order in which they ran."""
    parameters: Count = 0
    """Trainable scalars, counted on the built module."""
    flops: Count = 0
    """Measured floating-point operations of one sample's forward pass."""
    peak_bytes: Count = 0
    """Most memory that one training step at the largest batch took, bytes."""
    latencies: Several[Latency] = ()
    """Forward latency for each target."""
    toolchain: Toolchain
    """What it was built and measured with."""
    seconds: NonNegative = 0.0
    """How long building and proving took."""


class Lease(Contract):
    """A worker's right to build one blueprint until a moment; renewed by heartbeats."""

    blueprint: Blueprint
    """What to build."""
    worker: Slug
    """Who holds it."""
    token: Positive
    """Fencing token: each lease of a blueprint has a larger one; only the newest is obeyed."""
    attempt: Positive
    """Which try this is."""
    expires_at: Moment
    """When it ends if nobody renews it, UTC."""


# What the library keeps ---------------------------------------------------------------------------


class BlueprintRecord(Contract):
    """A blueprint as the library has it."""

    blueprint: Blueprint
    """The blueprint; its `state` is where it stands now."""
    revision: Positive
    """Raised by one with every change."""
    attempts: Count = 0
    """Tries at building it so far."""
    reason: Text = ""
    """Why it is INVALID; empty otherwise."""
    report: ValidationReport | None = None
    """Proof of the last try, if one got that far."""
    kernels: Series[KernelId] = ()
    """Kernels that were built from it."""
    updated_at: Moment
    """Time of the last change, UTC."""


class Signature(Contract):
    """Somebody's signature over a kernel's id (Ed25519 over its 32 raw bytes)."""

    key_id: Slug
    """Name of the key: the first 16 hexadecimal digits of the public key's SHA-256."""
    value: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
    """The 64 bytes of the signature in hexadecimal."""


class KernelRegistration(Contract):
    """Makes an uploaded blob known as a kernel."""

    kernel_id: KernelId
    """The blob's digest."""
    blueprint_id: Identifier | None = None
    """The blueprint it was built from, if the library has that."""
    host: Annotated[str, StringConstraints(max_length=64)] = ""
    """Host type it was made for or grown on; empty for any."""
    tags: Tags = Field(default_factory=dict)
    """Labels: hardware, toolchain, task."""
    signatures: Several[Signature] = ()
    """Signatures over its id."""


class KernelRecord(Contract):
    """A stored kernel and what is known about it."""

    metadata: KernelMetadata
    """The manifest, with `kernel_id` filled in."""
    blueprint_id: Identifier | None = None
    """The blueprint it was built from, if that is stored."""
    host: Name = ""
    """Host type it was made for or grown on; empty for any."""
    tags: Tags = Field(default_factory=dict)
    """Labels: hardware, toolchain, task."""
    status: KernelStatus = KernelStatus.CANDIDATE
    """Whether it may be used."""
    revision: Positive = 1
    """Raised by one with every change."""
    size_bytes: Count
    """Size of the file."""
    report: ValidationReport | None = None
    """Its proof, if it has one."""
    signatures: Several[Signature] = ()
    """Signatures over its id."""
    proven_gain: float | None = None
    """Mean gain over the field reports in which it was fossilised; None before the first."""
    field_reports: Count = 0
    """How many reports there are."""
    latency_us: float | None = None
    """Lowest median latency among the measured targets; None if none was measured."""
    stored_at: Moment
    """When it was stored, UTC."""


ShapeText = Annotated[str, StringConstraints(pattern=r"^(\*|[0-9]{1,9})?(,(\*|[0-9]{1,9}))*$")]


class KernelFilter(Contract):
    """What a kernel must be; what is None does not restrict a search."""

    host: Name | None = None
    """Made for this host type, or for any."""
    mode: KernelMode | None = None
    """How it joins its host."""
    input_shape: ShapeText | None = None
    """Exact shape of a sample at the input, as `3,32,32`; `*` for an axis of any size."""
    output_shape: ShapeText | None = None
    """The same at the output."""
    status: KernelStatus | None = None
    """Where it stands."""
    blueprint: Name | None = None
    """Name of its blueprint."""
    max_parameters: Count | None = None
    """Most trainable scalars."""
    max_latency_us: NonNegative | None = None
    """Longest median latency; kernels that were not measured are left out."""
    max_bytes: Count | None = None
    """Largest file."""


class KernelQuery(KernelFilter):
    """A search among kernels."""

    tags: Tags = Field(default_factory=dict)
    """Labels that it must carry."""


class Alias(Contract):
    """A name that points at a kernel, and can be made to point at another."""

    name: AliasName
    """The name."""
    kernel_id: KernelId
    """Where it points."""
    revision: Positive
    """Raised by one with every change."""
    updated_at: Moment
    """Time of the last change, UTC."""


class KernelOutcome(Contract):
    """What a kernel did in a run: a field report with the run that it comes from."""

    report_id: Identifier
    """Identity; sending the same report again changes nothing."""
    run_id: Identifier
    """The run."""
    kernel_id: KernelId
    """The kernel."""
    before: float | None = None
    """Growth loss before the kernel took part."""
    after: float | None = None
    """Growth loss after."""
    report: FieldReport
    """How the adaptation went, with the gain's interval."""


class Lineage(Contract):
    """Where a kernel comes from and what became of it."""

    kernel: KernelRecord
    """The kernel."""
    blueprint: BlueprintRecord | None = None
    """What it was built from, if that is stored."""
    siblings: Series[KernelId] = ()
    """Other kernels of the same blueprint."""
    aliases: Series[Alias] = ()
    """Names that point at it."""
    outcomes: Series[KernelOutcome] = ()
    """Its field reports, oldest first."""


class AuditEntry(Contract):
    """One change, in a log that can only grow; each entry seals the one before."""

    sequence: Positive
    """Position in the log, without gaps."""
    at: Moment
    """When, UTC."""
    actor: Name
    """Whose token, or `local` for the command line on the library's own machine."""
    action: Name
    """What was done, for example `kernel.validate`."""
    subject: Name
    """To what."""
    detail: JsonObject = Field(default_factory=dict)
    """With which values."""
    previous: Name
    """Digest of the entry before; 64 zeros for the first."""
    digest: Name
    """SHA-256 over the canonical JSON of everything above."""


class TokenRequest(Contract):
    """Asks for a token."""

    name: Slug
    """For whom or what."""
    roles: Annotated[tuple[Role, ...], Field(min_length=1, max_length=10)]
    """What it may do."""
    days: Annotated[float, Field(gt=0, le=3650)] = 90.0
    """Days until it expires."""


class TokenRecord(Contract):
    """A token as the library knows it: never the secret itself."""

    token_id: Identifier
    """Identity; part of the token."""
    name: Slug
    """For whom or what."""
    roles: Several[Role]
    """What it may do."""
    created_at: Moment
    """When it was made, UTC."""
    expires_at: Moment
    """When it ends, UTC."""
    revoked: bool = False
    """Whether it was taken back."""


class IssuedToken(Contract):
    """A new token with its secret, which is shown this once."""

    record: TokenRecord
    """What the library keeps."""
    secret: Name = Field(repr=False)
    """The whole token, as `Authorization: Bearer` takes it."""


class AuditVerification(Contract):
    """The audit log was checked from its first entry to its last."""

    entries: Count
    """How many entries there are; each seals the one before."""


class GarbageReport(Contract):
    """What a collection of unreferenced blobs removed, or would remove."""

    blobs: Count
    """How many blobs."""
    bytes: Count
    """Their sizes together."""
