"""The base of every model that crosses a process edge, and the field types that they share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Contract(BaseModel):
    """A frozen, strict-shaped record: unknown fields are refused, NaN and infinity too."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )


Shape = tuple[Annotated[int, Field(ge=0)] | None, ...]
"""Axis sizes of one sample (no batch axis); None is an axis of any size."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
"""A number in [0, 1]."""

Count = Annotated[int, Field(ge=0)]
"""A whole number, 0 or more."""

NonNegative = Annotated[float, Field(ge=0.0)]
"""A finite number, 0 or more."""

KernelId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a kernel file's bytes, in lower-case hexadecimal."""


def utc_now() -> datetime:
    """Return the present time in UTC, for the time stamps of records (never for decisions)."""
    return datetime.now(tz=UTC)
