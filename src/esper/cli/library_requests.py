"""What a user asked of a library, one frozen class for each command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from esper.cli.requests import GeometryRequest


@dataclass(frozen=True, kw_only=True)
class UrzaServeRequest:
    """`esper urza serve`."""

    folder: Path | None
    """Where an embedded library lies; None is the user's own."""
    host: str | None
    port: int | None


@dataclass(frozen=True, kw_only=True)
class UrzaMigrateRequest:
    """`esper urza migrate`."""

    folder: Path | None
    down: str | None
    """Revision to go back to; None goes to the newest."""
    check: bool
    """Change nothing; say whether there is something to do."""


@dataclass(frozen=True, kw_only=True)
class UrzaGcRequest:
    """`esper urza gc`."""

    folder: Path | None
    urza: str | None
    """Address of a library that does it itself; None works on the stores directly."""
    grace_hours: float | None
    dry_run: bool


@dataclass(frozen=True, kw_only=True)
class UrzaAuditRequest:
    """`esper urza audit`."""

    folder: Path | None
    urza: str | None
    limit: int
    verify: bool
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class TokenIssueRequest:
    """`esper urza token issue`."""

    folder: Path | None
    urza: str | None
    name: str
    roles: tuple[str, ...]
    days: float
    output: Path | None
    """File for the secret; None prints it."""


@dataclass(frozen=True, kw_only=True)
class TokenListRequest:
    """`esper urza token list`."""

    folder: Path | None
    urza: str | None
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class TokenRevokeRequest:
    """`esper urza token revoke`."""

    folder: Path | None
    urza: str | None
    token_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BlueprintsPushRequest:
    """`esper blueprints push`."""

    urza: str | None
    """Address of the library; None is the environment's."""
    file: Path | None
    """Graph IR, or what `pull --json` wrote."""
    family: str | None
    size: str | None
    mode: str | None
    geometry: GeometryRequest
    name: str | None
    proposed: bool
    """Store it without offering it to the forge."""
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class BlueprintsPullRequest:
    """`esper blueprints pull`."""

    urza: str | None
    blueprint_id: str
    output: Path | None
    """None prints it."""
    as_json: bool
    """The whole record in place of the graph."""


@dataclass(frozen=True, kw_only=True)
class BlueprintsSearchRequest:
    """`esper blueprints search`."""

    urza: str | None
    host: str | None
    family: str | None
    state: str | None
    limit: int
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class KernelPushRequest:
    """`esper kernel push`."""

    urza: str | None
    kernels: tuple[str, ...]
    """Paths, or ids in the kernel store."""
    blueprint_id: str | None
    host: str
    tags: tuple[str, ...]
    """`name=value` each."""
    key: Path | None
    """Private key to sign with."""


@dataclass(frozen=True, kw_only=True)
class KernelPullRequest:
    """`esper kernel pull`."""

    urza: str | None
    kernels: tuple[str, ...]
    """Ids, or aliases such as `edge-conv@production`."""
    output: Path | None
    """None puts them into the kernel store."""
    trust: tuple[Path, ...]
    """Public keys; one of them must have signed."""
    rejected: bool
    """Pull kernels that were rejected, too."""


@dataclass(frozen=True, kw_only=True)
class KernelPromoteRequest:
    """`esper kernel promote`."""

    urza: str | None
    kernel: str
    alias: str | None
    event: str | None
    revision: int | None
    """Where alias or kernel must stand; None is where it stands now."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class KernelLineageRequest:
    """`esper kernel lineage`."""

    urza: str | None
    kernel: str
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class KernelSignRequest:
    """`esper kernel sign`."""

    urza: str | None
    kernels: tuple[str, ...]
    """Paths sign beside the file; ids and aliases in the library."""
    key: Path
    new_key: bool
    """Make the key first."""


@dataclass(frozen=True, kw_only=True)
class KernelSearchRequest:
    """`esper kernel search`."""

    urza: str | None
    host: str | None
    mode: str | None
    input_shape: str | None
    output_shape: str | None
    status: str | None
    blueprint: str | None
    max_parameters: int | None
    max_latency_us: float | None
    max_bytes: int | None
    tags: tuple[str, ...]
    sort: str
    limit: int
    as_json: bool
