"""What a user asked of the run store, one frozen class for each command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class RunsListRequest:
    """`esper runs list`."""

    store: str | None
    """URL of a run store; None is the platform's, or the user's own."""
    state: str | None
    text: str | None
    limit: int
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class RunsShowRequest:
    """`esper runs show`."""

    store: str | None
    run: str
    """Id, beginning of an id, `newest`, or a run's folder."""
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class RunsCompareRequest:
    """`esper runs compare`."""

    store: str | None
    runs: tuple[str, ...]
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class RunsExportRequest:
    """`esper runs export`."""

    store: str | None
    run: str
    form: str | None
    """None: what the output's name says, or CSV."""
    output: Path | None
    """None is standard output."""


@dataclass(frozen=True, kw_only=True)
class RunsImportRequest:
    """`esper runs import`."""

    store: str | None
    folders: tuple[Path, ...]
    replace: bool


@dataclass(frozen=True, kw_only=True)
class RunsForgetRequest:
    """`esper runs forget`."""

    store: str | None
    runs: tuple[str, ...]
