"""Parameters that several routes have: names in the path, pages, preconditions."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Path, Query

from esper.contracts.base import Identifier, KernelId
from esper.contracts.library import AliasName

BlueprintIdPath = Annotated[Identifier, Path(description="Identity of the blueprint.")]
KernelIdPath = Annotated[KernelId, Path(description="SHA-256 of the kernel file.")]
DigestPath = Annotated[KernelId, Path(description="SHA-256 of the bytes.")]
AliasPath = Annotated[AliasName, Path(description="`subject@stage`.")]
TokenIdPath = Annotated[Identifier, Path(description="Identity of the token.")]

Cursor = Annotated[
    str | None,
    Query(max_length=500, description="`next_cursor` of the page before; none for the first."),
]
Limit = Annotated[int, Query(ge=1, le=200, description="Most records of the page.")]
IfMatch = Annotated[
    str | None, Header(description="Entity tag of the revision that is to be changed.")
]
IfNoneMatch = Annotated[str | None, Header(description="`*`: only if there is none yet.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=255,
        description="Any text; the same request with the same key is carried out once.",
    ),
]
