"""What must hold in a library whatever was killed: nothing told is lost, nothing is half done."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import text

from esper.contracts.enums import BlueprintState, KernelStatus
from esper.contracts.errors import AccessDeniedError, LibraryNotFoundError
from esper.contracts.library import BlueprintRecord, KernelQuery, KernelRecord
from esper.execution.artifact import unpack
from esper.services.urza.blobs import key_of
from esper.services.urza.kernel_library import Library
from support.stored import kernel_of


def read_told(path: Path) -> list[dict[str, Any]]:
    """Return what a process told before it was killed; a last line that was cut was not told."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


async def lost(library: Library, told: list[dict[str, Any]]) -> list[str]:
    """Return what was acknowledged and is not there.

    A collection takes every blob that no kernel refers to, also one that an earlier life was told
    of and did not come to register; and what was collected may have been uploaded since. Blobs of
    registered kernels are read by `broken`.
    """
    missing = []
    for number, entry in enumerate(told):
        since = told[number + 1 :]
        if entry["what"] == "blob" and _any(since, "collecting"):
            continue
        if entry["what"] == "collected" and _any(since, "uploading", entry["name"]):
            continue
        try:
            there = await _is_there(library, entry)
        except (LibraryNotFoundError, LookupError, AccessDeniedError):
            there = False
        if not there:
            missing.append(json.dumps(entry))
    return missing


async def _is_there(library: Library, entry: dict[str, Any]) -> bool:
    what, name = entry["what"], entry["name"]
    if what in {"blueprint", "lease", "invalid", "complete"}:
        return _blueprint_fits(await library.blueprints.get(name), entry)
    if what in {"kernel", "signed", "validated"}:
        record = await kernel_of(library, name)
        return (what != "signed" or len(record.signatures) == 1) and (
            what != "validated" or record.status is not KernelStatus.CANDIDATE
        )
    if what == "blob":
        return hashlib.sha256(await library.kernels._blobs.whole(name)).hexdigest() == name
    if what == "outcome":
        reports = (await library.outcomes.of(entry["kernel"])).items
        record = await kernel_of(library, entry["kernel"])
        return name in {report.report_id for report in reports} and record.proven_gain == 0.5
    if what == "alias":
        return await _alias_fits(library, entry)
    if what == "token":
        return not (await library.tokens.authenticate(name)).revoked
    if what == "revoked":
        return await _is_refused(library, name)
    if what == "answer":
        return await library.idempotency.recall(name, "route", "bob", "0" * 64) is not None
    if what == "collected":
        return await library.blobs.size(name) is None
    return what in {"uploading", "collecting"}


def _any(told: list[dict[str, Any]], what: str, name: str | None = None) -> bool:
    return any(entry["what"] == what and name in {None, entry["name"]} for entry in told)


def _blueprint_fits(record: BlueprintRecord, entry: dict[str, Any]) -> bool:
    state = record.blueprint.state
    if entry["what"] == "invalid":
        return state is BlueprintState.INVALID
    if entry["what"] == "complete":
        return state is BlueprintState.VALIDATED and entry["kernel"] in record.kernels
    return entry["what"] != "lease" or record.attempts >= 1


async def _alias_fits(library: Library, entry: dict[str, Any]) -> bool:
    statement = text("SELECT kernel_id, revision FROM aliases WHERE name = :name")
    async with library.database.reading() as connection:
        row = (await connection.execute(statement, {"name": entry["name"]})).one()
    if row.revision == entry["revision"]:
        return bool(row.kernel_id == entry["kernel"])
    return bool(row.revision > entry["revision"])


async def _is_refused(library: Library, secret: str) -> bool:
    try:
        await library.tokens.authenticate(secret)
    except AccessDeniedError:
        return True
    return False


async def broken(library: Library) -> list[str]:
    """Return what is torn, half published, or not as the log says."""
    entries = await library.audit.verify()
    kernels = (await library.kernels.search(KernelQuery(), "newest", None, 1000)).items
    blueprints = (await library.blueprints.search(limit=1000)).items
    faults = [fault for kernel in kernels for fault in await _kernel_faults(library, kernel)]
    by_id = {kernel.metadata.kernel_id: kernel for kernel in kernels}
    for record in blueprints:
        faults += _blueprint_faults(record, by_id)
    faults += await _blob_faults(library)
    return faults + await _log_faults(library, entries)


async def _kernel_faults(library: Library, kernel: KernelRecord) -> list[str]:
    kernel_id = str(kernel.metadata.kernel_id)
    data = await library.kernels._blobs.whole(kernel_id)
    artifact = await asyncio.to_thread(unpack, data, expected_id=kernel_id)
    fits = artifact.metadata == kernel.metadata and len(data) == kernel.size_bytes
    return [] if fits else [f"kernel {kernel_id} is not its file"]


def _blueprint_faults(
    record: BlueprintRecord, kernels: dict[str | None, KernelRecord]
) -> list[str]:
    name, state = record.blueprint.blueprint_id, record.blueprint.state
    proven = {
        kernel_id
        for kernel_id, kernel in kernels.items()
        if kernel.blueprint_id == name and kernel.report is not None
    }
    if set(record.kernels) != proven:
        return [f"{name} lists {record.kernels}, proven are {proven}: half published"]
    if (state is BlueprintState.VALIDATED) != bool(proven):
        return [f"{name} is {state} with {len(proven)} proven kernels"]
    return []


async def _blob_faults(library: Library) -> list[str]:
    async with library.database.reading() as connection:
        rows = await connection.execute(text("SELECT digest FROM blobs WHERE present = 1"))
        digests = list(rows.scalars())
    return [
        f"blob {digest} is torn"
        for digest in digests
        if hashlib.sha256(await library.kernels._blobs.whole(digest)).hexdigest() != digest
    ]


async def _log_faults(library: Library, entries: int) -> list[str]:
    """Every record came with its entry, and every entry with its record."""
    log = (await library.audit.entries(None, entries + 1)).items
    logged = Counter(entry.action for entry in log)
    tables = {
        "blueprints": "blueprint.submit",
        "kernels": "kernel.register",
        "outcomes": "outcome.add",
        "tokens": "token.issue",
    }
    faults = []
    async with library.database.reading() as connection:
        for table, action in tables.items():
            rows = (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar()
            if rows != logged[action]:
                faults.append(f"{rows} {table}, {logged[action]} entries of {action}")
        aliases = (await connection.execute(text("SELECT name, revision FROM aliases"))).all()
    newest = {e.subject: e.detail["revision"] for e in log if e.action.startswith("alias.")}
    if newest != {row.name: row.revision for row in aliases}:
        faults.append(f"aliases are {aliases}, the log says {newest}")
    return faults


async def leftovers(library: Library) -> set[str]:
    """Return the objects that no row knows."""
    async with library.database.reading() as connection:
        rows = await connection.execute(
            text("SELECT digest, generation FROM blobs WHERE present = 1")
        )
        known = {key_of(row.digest, row.generation) for row in rows}
    found = {entry.key async for entry in library.garbage._objects.alist()}
    assert known <= found
    return found - known
