"""Aliases, tokens, the audit log, idempotency and garbage, on every backend."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from esper.contracts.enums import Role
from esper.contracts.errors import (
    AccessDeniedError,
    KernelNotFoundError,
    LibraryError,
    LibraryNotFoundError,
    LibraryUnavailableError,
    RevisionConflictError,
    SubmissionError,
)
from esper.contracts.library import TokenRequest
from esper.contracts.lifecycle import KernelEvent
from esper.services.urza.change import Store
from esper.services.urza.idempotency import Idempotency
from esper.services.urza.kernel_library import Library
from support.clocks import StillClock
from support.stored import ACTOR, blueprint, build, chunks, id_of, kernel_file, register, upload

pytestmark = pytest.mark.asyncio

DAY = 86400.0
NAME = "edge-conv@production"


async def _kernel(library: Library, seed: int = 0) -> str:
    """A validated kernel's id."""
    kernel_id = str((await register(library, kernel_file(seed))).metadata.kernel_id)
    await library.kernels.move(ACTOR, kernel_id, KernelEvent.VALIDATE, 1)
    return kernel_id


async def test_an_alias_moves_by_compare_and_swap(library: Library) -> None:
    first, second = await _kernel(library), await _kernel(library, 1)
    made = await library.aliases.put(ACTOR, NAME, first, None)
    assert await library.aliases.get(NAME) == made
    with pytest.raises(RevisionConflictError):
        await library.aliases.put(ACTOR, NAME, second, None)
    with pytest.raises(RevisionConflictError):
        await library.aliases.put(ACTOR, NAME, second, 2)
    moved = await library.aliases.put(ACTOR, NAME, second, 1)
    assert (moved.kernel_id, moved.revision) == (second, 2)


async def test_the_revisions_of_an_alias_go_on_after_it_was_deleted(library: Library) -> None:
    kernel_id = await _kernel(library)
    await library.aliases.put(ACTOR, NAME, kernel_id, None)
    with pytest.raises(RevisionConflictError):
        await library.aliases.delete(ACTOR, NAME, 2)
    await library.aliases.delete(ACTOR, NAME, 1)
    with pytest.raises(LibraryNotFoundError):
        await library.aliases.get(NAME)
    with pytest.raises(LibraryNotFoundError):
        await library.aliases.delete(ACTOR, NAME, 1)
    with pytest.raises(RevisionConflictError):
        await library.aliases.put(ACTOR, NAME, kernel_id, 1)
    assert (await library.aliases.put(ACTOR, NAME, kernel_id, None)).revision == 3


async def test_production_takes_validated_kernels_only(library: Library) -> None:
    kernel_id = str((await register(library, kernel_file())).metadata.kernel_id)
    with pytest.raises(SubmissionError, match="validated"):
        await library.aliases.put(ACTOR, NAME, kernel_id, None)
    await library.aliases.put(ACTOR, "edge-conv@staging", kernel_id, None)
    await library.kernels.move(ACTOR, kernel_id, KernelEvent.REJECT, 1)
    with pytest.raises(SubmissionError, match="rejected"):
        await library.aliases.put(ACTOR, "other@staging", kernel_id, None)
    with pytest.raises(KernelNotFoundError):
        await library.aliases.put(ACTOR, NAME, "0" * 64, None)


async def test_aliases_are_listed_page_by_page(library: Library) -> None:
    kernel_id = await _kernel(library)
    for name in ("b@x", "a@x", "c@x"):
        await library.aliases.put(ACTOR, name, kernel_id, None)
    await library.aliases.delete(ACTOR, "b@x", 1)
    page = await library.aliases.list(None, 1)
    rest = await library.aliases.list(page.next_cursor, 1)
    assert [alias.name for alias in (*page.items, *rest.items)] == ["a@x", "c@x"]
    assert rest.next_cursor is None


async def test_a_token_lets_in_until_it_expires_or_is_revoked(
    library: Library, clock: StillClock
) -> None:
    request = TokenRequest(name="forge", roles=(Role.COMPILER,), days=2)
    issued = await library.tokens.issue(ACTOR, request)
    assert await library.tokens.authenticate(issued.secret) == issued.record
    assert issued.secret not in repr(issued)
    clock.advance(2 * DAY)
    with pytest.raises(AccessDeniedError, match="expired"):
        await library.tokens.authenticate(issued.secret)
    other = await library.tokens.issue(ACTOR, request)
    revoked = await library.tokens.revoke(ACTOR, other.record.token_id)
    assert await library.tokens.revoke(ACTOR, other.record.token_id) == revoked
    with pytest.raises(AccessDeniedError, match="revoked"):
        await library.tokens.authenticate(other.secret)
    assert (await library.tokens.list()).items == (issued.record, revoked)


async def test_what_is_no_token_does_not_let_in(library: Library) -> None:
    issued = await library.tokens.issue(ACTOR, TokenRequest(name="a", roles=(Role.ADMIN,)))
    changed = issued.secret[:-1] + ("A" if issued.secret[-1] != "A" else "B")
    for secret in ("", "esper", changed, issued.secret + "A", "esper_" + "0" * 16 + "_" + "A" * 43):
        with pytest.raises(AccessDeniedError):
            await library.tokens.authenticate(secret)
    with pytest.raises(LibraryNotFoundError):
        await library.tokens.revoke(ACTOR, "nobody")


async def test_the_database_never_holds_a_secret(library: Library) -> None:
    issued = await library.tokens.issue(ACTOR, TokenRequest(name="a", roles=(Role.ADMIN,)))
    async with library.database.reading() as connection:
        rows = (await connection.execute(text("SELECT * FROM tokens"))).all()
        entries = (await connection.execute(text("SELECT * FROM audit"))).all()
    assert issued.secret[-43:] not in str([rows, entries])


async def test_every_change_has_its_entry_and_the_log_holds(library: Library) -> None:
    kernel_id = str((await build(library)).metadata.kernel_id)
    await library.aliases.put("bob", NAME, kernel_id, None)
    page = await library.audit.entries(None, 100)
    assert [(entry.sequence, entry.actor, entry.action) for entry in page.items] == [
        (1, ACTOR, "blueprint.submit"),
        (2, ACTOR, "blueprint.lease"),
        (3, ACTOR, "blob.store"),
        (4, ACTOR, "kernel.register"),
        (5, ACTOR, "blueprint.validate"),
        (6, "bob", "alias.put"),
    ]
    assert await library.audit.verify() == 6
    first = await library.audit.entries(None, 4)
    assert (await library.audit.entries(first.next_cursor, 4)).items == page.items[4:]


async def test_a_reader_of_the_log_can_check_its_digests(library: Library) -> None:
    await build(library)
    previous = "0" * 64
    for entry in (await library.audit.entries()).items:
        shown = entry.model_dump(mode="json", exclude={"digest"})
        canonical = json.dumps(shown, sort_keys=True, separators=(",", ":"))
        assert entry.digest == hashlib.sha256(canonical.encode()).hexdigest()
        assert entry.previous == previous
        previous = entry.digest


async def test_the_log_holds_while_it_grows(library: Library) -> None:
    kernel_id = await _kernel(library)
    found: list[int] = []
    writing = asyncio.gather(
        *(library.aliases.put(ACTOR, f"n{n}@x", kernel_id, None) for n in range(30))
    )
    while not writing.done():
        found.append(await library.audit.verify())
    await writing
    assert found == sorted(found)
    assert await library.audit.verify() == 3 + 30


async def test_a_text_that_the_database_cannot_keep_is_refused_or_kept(library: Library) -> None:
    # A contract's own texts have their control characters made visible; what is searched has not.
    strange = blueprint(family="a\x00b", host="\x00")
    await library.blueprints.submit(ACTOR, strange)
    assert len((await library.blueprints.search(family=strange.family)).items) == 1
    if library.database.is_sqlite:
        assert not (await library.blueprints.search(family="a\x00b")).items
    else:
        with pytest.raises(SubmissionError, match="NUL"):
            await library.blueprints.search(family="a\x00b")
        with pytest.raises(SubmissionError, match="NUL"):
            await library.kernels.get_json("\x00")
    assert await library.audit.verify() == 1


async def test_a_refused_change_leaves_no_entry(library: Library) -> None:
    with pytest.raises(KernelNotFoundError):
        await library.aliases.put(ACTOR, NAME, "0" * 64, None)
    assert await library.audit.verify() == 0


async def _tamper(library: Library, statement: str) -> None:
    async with library.database.writing() as connection:
        await connection.execute(text(statement))
        await connection.commit()


async def test_the_database_refuses_to_change_the_log(library: Library) -> None:
    await build(library)
    for statement in ("UPDATE audit SET digest = 'x'", "DELETE FROM audit WHERE sequence = 2"):
        with pytest.raises((DBAPIError, LibraryUnavailableError)):
            await _tamper(library, statement)
    assert await library.audit.verify() == 5


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET document = replace(document, 'tester', 'nobody') WHERE sequence = 3",
        "DELETE FROM audit WHERE sequence = 3",
        "DELETE FROM audit WHERE sequence = 5",
    ],
)
async def test_a_log_that_was_tampered_with_is_found_out(library: Library, statement: str) -> None:
    await build(library)
    if library.database.is_sqlite:
        await _tamper(library, "DROP TRIGGER audit_refuses_update")
        await _tamper(library, "DROP TRIGGER audit_refuses_delete")
    else:
        await _tamper(library, "DROP TRIGGER audit_only_grows ON audit")
    await _tamper(library, statement)
    with pytest.raises(LibraryError, match=r"entry [35]"):
        await library.audit.verify()


async def test_an_answer_is_given_again_for_the_same_request_only(
    library: Library, clock: StillClock
) -> None:
    answer = Response(b"{}\x00", 201, {"ETag": '"1"'})
    key: tuple[Any, ...] = ("key-1", "route", "bob", "a" * 64)
    assert await library.idempotency.recall(*key) is None
    await library.idempotency.remember(*key, answer)
    given = await library.idempotency.recall(*key)
    assert given is not None
    assert (given.status_code, given.body) == (201, b"{}\x00")
    assert given.headers == answer.headers
    assert await library.idempotency.recall("key-1", "route", "eve", "a" * 64) is None
    with pytest.raises(SubmissionError, match="another request"):
        await library.idempotency.recall("key-1", "route", "bob", "b" * 64)
    clock.advance(DAY + 1)
    assert await library.idempotency.recall(*key) is None
    await library.garbage.collect(ACTOR, 0)
    async with library.database.reading() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM answers"))).scalar() == 0


async def test_an_answer_can_be_kept_anew(library: Library, clock: StillClock) -> None:
    short = Idempotency(Store(library.database, clock), 10)
    for body in (b"first", b"second"):
        await short.remember("k", "r", "a", "0" * 64, Response(body))
        found = await short.recall("k", "r", "a", "0" * 64)
        assert found is not None
        assert found.body == body


async def test_garbage_is_what_no_kernel_refers_to_after_its_grace(
    library: Library, clock: StillClock
) -> None:
    kept = str((await register(library, kernel_file())).metadata.kernel_id)
    loose = await upload(library, b"loose")
    assert (await library.garbage.collect(ACTOR, DAY)).blobs == 0
    clock.advance(DAY + 1)
    seen = await library.garbage.collect(ACTOR, DAY, dry_run=True)
    assert (seen.blobs, seen.bytes) == (1, 5)
    assert await library.blobs.size(loose) == 5
    assert await library.garbage.collect(ACTOR, DAY) == seen
    assert await library.blobs.size(loose) is None
    assert await library.blobs.size(kept) is not None
    assert (await library.garbage.collect(ACTOR, DAY)).blobs == 0
    with pytest.raises(LibraryNotFoundError):
        _ = [piece async for piece in library.blobs.read(loose)]


async def test_a_collected_blob_can_be_stored_again(library: Library, clock: StillClock) -> None:
    loose = await upload(library, b"loose")
    clock.advance(DAY + 1)
    await library.garbage.collect(ACTOR, DAY)
    assert await library.blobs.put(ACTOR, loose, chunks(b"loose"), 5)
    assert b"".join([piece async for piece in library.blobs.read(loose)]) == b"loose"


async def test_uploading_again_starts_the_grace_anew(library: Library, clock: StillClock) -> None:
    loose = await upload(library, b"loose")
    clock.advance(DAY - 1)
    assert not await library.blobs.put(ACTOR, loose, chunks(b"loose"), 5)
    clock.advance(DAY - 1)
    assert (await library.garbage.collect(ACTOR, DAY)).blobs == 0


async def test_what_a_killed_upload_left_is_swept_and_nothing_else(
    library: Library, clock: StillClock
) -> None:
    digest = id_of(b"late")
    objects = library.garbage._objects
    await objects.aput_if_absent(f"{digest[:2]}/{digest}.1", b"late")
    await objects.aput_if_absent("README", b"not ours")
    kept = str((await register(library, kernel_file())).metadata.kernel_id)
    # The objects' own times are the machine's; the still clock is far ahead of it.
    swept = await library.garbage.collect(ACTOR, DAY)
    assert (swept.blobs, swept.bytes) == (1, 4)
    assert objects.get("README") == b"not ours"
    # An upload that was under way when its object was swept finds the generation used up.
    assert await library.blobs.put(ACTOR, digest, chunks(b"late"), 4)
    assert objects.get(f"{digest[:2]}/{digest}.2") == b"late"
    assert b"".join([p async for p in library.blobs.read(kept)]) == kernel_file()


async def test_a_library_can_say_that_it_serves(library: Library) -> None:
    await library.check()
