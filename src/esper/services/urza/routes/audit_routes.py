"""The audit log over HTTP: read it, and have its chain checked."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from esper.contracts.library import AuditEntry, AuditVerification, Page
from esper.services.urza.answers import PREFIX, answer, router
from esper.services.urza.parameters import Cursor, Limit
from esper.services.urza.urza_state import LibraryDep
from esper.web.problems import documented

AUDIT: Final[APIRouter] = router(f"{PREFIX}/audit", "audit")


@AUDIT.get("/", response_model=Page[AuditEntry], responses=documented(422))
async def list_audit(library: LibraryDep, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """List changes, oldest first."""
    return answer(await library.audit.entries(cursor, limit))


@AUDIT.get("/verification", response_model=AuditVerification, responses=documented())
async def verify_audit(library: LibraryDep) -> Response:
    """Check every entry against its digest and the one before; a broken chain is an error."""
    return answer(AuditVerification(entries=await library.audit.verify()))
