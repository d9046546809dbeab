"""Kernels, their blobs, search, lineage and field reports, on every backend."""

from __future__ import annotations

import asyncio

import pytest

from esper.contracts.enums import AdaptationOutcome, KernelMode, KernelStatus
from esper.contracts.errors import (
    ArtifactError,
    IllegalTransitionError,
    KernelNotFoundError,
    LibraryNotFoundError,
    RevisionConflictError,
    SubmissionError,
)
from esper.contracts.library import KernelQuery, KernelRecord, KernelRegistration, Signature
from esper.contracts.lifecycle import KernelEvent
from esper.services.urza.kernel_library import Library
from support.stored import (
    ACTOR,
    blueprint,
    build,
    chunks,
    complete,
    id_of,
    kernel_file,
    kernel_of,
    lease_of,
    outcome,
    register,
    upload,
)

pytestmark = pytest.mark.asyncio


async def _read(library: Library, digest: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in library.blobs.read(digest, start, end)])


async def test_a_blob_comes_back_whole_and_in_parts(library: Library) -> None:
    data = bytes(range(256)) * 5000
    assert await library.blobs.put(ACTOR, id_of(data), chunks(data, 99_999), len(data))
    assert not await library.blobs.put(ACTOR, id_of(data), chunks(data), None)
    assert await library.blobs.size(id_of(data)) == len(data)
    assert await _read(library, id_of(data)) == data
    assert await _read(library, id_of(data), 7, 1000) == data[7:1000]
    assert await _read(library, id_of(data), len(data) - 3) == data[-3:]
    assert await _read(library, id_of(data), 5, 5) == b""


async def test_a_blob_larger_than_memory_for_uploads_is_stored(library: Library) -> None:
    data = bytes(9 * 2**20)
    await upload(library, data)
    assert await library.kernels._blobs.whole(id_of(data)) == data


async def test_a_blob_with_other_bytes_than_its_digest_is_refused(library: Library) -> None:
    with pytest.raises(SubmissionError, match="SHA-256"):
        await library.blobs.put(ACTOR, id_of(b"right"), chunks(b"wrong"), 5)
    assert await library.blobs.size(id_of(b"right")) is None


async def test_a_blob_of_another_length_than_announced_is_refused(library: Library) -> None:
    with pytest.raises(SubmissionError, match="announced"):
        await library.blobs.put(ACTOR, id_of(b"bytes"), chunks(b"bytes"), 6)


async def test_an_empty_blob_can_be_stored(library: Library) -> None:
    await upload(library, b"")
    assert await _read(library, id_of(b"")) == b""


async def test_a_blob_that_is_not_there_is_not_found(library: Library) -> None:
    assert await library.blobs.size("0" * 64) is None
    with pytest.raises(LibraryNotFoundError):
        await _read(library, "0" * 64)


async def test_uploads_of_the_same_bytes_at_once_store_them_once(library: Library) -> None:
    data = kernel_file()
    new = await asyncio.gather(
        *(library.blobs.put(ACTOR, id_of(data), chunks(data), None) for _ in range(6))
    )
    assert sum(new) == 1
    assert await _read(library, id_of(data)) == data


async def test_a_registered_kernel_is_a_candidate_with_its_manifest(library: Library) -> None:
    data = kernel_file()
    record = await register(library, data, host="linear", tags={"task": "toy"})
    assert record.status is KernelStatus.CANDIDATE
    assert record.metadata.kernel_id == id_of(data)
    assert record.size_bytes == len(data)
    assert await kernel_of(library, id_of(data)) == record
    text, revision = await library.kernels.get_json(id_of(data))
    assert (KernelRecord.model_validate_json(text), revision) == (record, 1)


async def test_registering_again_changes_nothing(library: Library) -> None:
    first = await register(library, kernel_file(), tags={"task": "toy"})
    assert await register(library, kernel_file(), tags={"task": "other"}) == first


async def test_a_file_that_is_no_kernel_is_refused(library: Library) -> None:
    with pytest.raises(ArtifactError):
        await register(library, b"no kernel at all")


async def test_a_kernel_without_its_file_is_refused(library: Library) -> None:
    with pytest.raises(SubmissionError, match="upload"):
        await library.kernels.register(ACTOR, KernelRegistration(kernel_id="0" * 64))
    with pytest.raises(KernelNotFoundError):
        await kernel_of(library, "0" * 64)


async def test_a_kernel_of_an_unknown_blueprint_is_refused(library: Library) -> None:
    with pytest.raises(SubmissionError, match="no blueprint"):
        await register(library, kernel_file(), blueprint_id="nobody")


async def test_a_kernel_moves_along_its_table_only(library: Library) -> None:
    record = await register(library, kernel_file())
    kernel_id = str(record.metadata.kernel_id)
    moved = await library.kernels.move(ACTOR, kernel_id, KernelEvent.VALIDATE, 1)
    assert (moved.status, moved.revision) == (KernelStatus.VALIDATED, 2)
    with pytest.raises(RevisionConflictError):
        await library.kernels.move(ACTOR, kernel_id, KernelEvent.RETIRE, 1)
    with pytest.raises(IllegalTransitionError):
        await library.kernels.move(ACTOR, kernel_id, KernelEvent.VALIDATE, 2)
    assert await kernel_of(library, kernel_id) == moved


async def test_of_moves_at_the_same_revision_one_happens(library: Library) -> None:
    record = await register(library, kernel_file())
    kernel_id = str(record.metadata.kernel_id)
    results = await asyncio.gather(
        *(library.kernels.move(ACTOR, kernel_id, KernelEvent.VALIDATE, 1) for _ in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, KernelRecord) for result in results) == 1
    assert sum(isinstance(result, RevisionConflictError) for result in results) == 4


async def test_a_signature_is_kept_once(library: Library) -> None:
    record = await register(library, kernel_file())
    kernel_id = str(record.metadata.kernel_id)
    signature = Signature(key_id="0123456789abcdef", value="0" * 128)
    signed = await library.kernels.sign(ACTOR, kernel_id, signature)
    assert await library.kernels.sign(ACTOR, kernel_id, signature) == signed
    assert signed.signatures == (signature,)


async def _ids(library: Library, query: KernelQuery, sort: str = "gain") -> list[int | None]:
    page = await library.kernels.search(query, sort)  # type: ignore[arg-type]
    return [int(record.tags["n"]) for record in page.items]


async def test_a_search_finds_what_fits(library: Library) -> None:
    for n, (host, width) in enumerate([("linear", 3), ("", 8), ("conv2d", 3)]):
        tags = {"n": str(n), "parity": "odd" if n % 2 else "even"}
        await register(library, kernel_file(n, width), host=host, tags=tags)
    newest = "newest"
    assert await _ids(library, KernelQuery(), newest) == [2, 1, 0]
    assert await _ids(library, KernelQuery(host="linear"), newest) == [1, 0]
    assert await _ids(library, KernelQuery(tags={"parity": "even"}), newest) == [2, 0]
    assert await _ids(library, KernelQuery(tags={"parity": "even", "n": "0"}), newest) == [0]
    assert await _ids(library, KernelQuery(max_parameters=50), newest) == [2, 0]
    assert await _ids(library, KernelQuery(input_shape="4", output_shape="4")) != []
    assert await _ids(library, KernelQuery(input_shape="5")) == []
    assert await _ids(library, KernelQuery(mode=KernelMode.RESIDUAL)) == []
    assert await _ids(library, KernelQuery(status=KernelStatus.VALIDATED)) == []
    assert await _ids(library, KernelQuery(blueprint="test"), "parameters") == [0, 2, 1] or (
        await _ids(library, KernelQuery(blueprint="test"), "parameters") == [2, 0, 1]
    )
    assert await _ids(library, KernelQuery(max_latency_us=1e6)) == []
    assert await _ids(library, KernelQuery(max_bytes=10)) == []


@pytest.mark.parametrize("sort", ["gain", "newest", "latency", "parameters"])
async def test_pages_of_a_search_together_hold_every_kernel_once(
    library: Library, sort: str
) -> None:
    for seed in range(5):
        record = await register(library, kernel_file(seed), tags={"n": str(seed)})
        if seed % 2:
            kernel_id = str(record.metadata.kernel_id)
            await library.outcomes.add(ACTOR, outcome(kernel_id, f"r{seed}", 0.1 * seed))
    found: list[str] = []
    cursor = None
    while True:
        page = await library.kernels.search(KernelQuery(), sort, cursor, 2)  # type: ignore[arg-type]
        found += [record.tags["n"] for record in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(found) == ["0", "1", "2", "3", "4"]
    if sort == "gain":
        assert found[:2] == ["3", "1"]
    with pytest.raises(SubmissionError, match="cursor"):
        await library.kernels.search(KernelQuery(), sort, "nonsense", 2)  # type: ignore[arg-type]


async def test_field_reports_make_the_proven_gain(library: Library) -> None:
    kernel_id = str((await register(library, kernel_file())).metadata.kernel_id)
    first = outcome(kernel_id, "r1", 0.1)
    assert await library.outcomes.add(ACTOR, first)
    assert not await library.outcomes.add(ACTOR, first)
    await library.outcomes.add(ACTOR, outcome(kernel_id, "r2", 0.3))
    culled = outcome(kernel_id, "r3", -9.0, outcome=AdaptationOutcome.CULLED)
    await library.outcomes.add(ACTOR, culled)
    record = await kernel_of(library, kernel_id)
    assert record.proven_gain == pytest.approx(0.2)
    assert (record.field_reports, record.revision) == (3, 4)
    page = await library.outcomes.of(kernel_id, None, 2)
    assert [entry.report_id for entry in page.items] == ["r1", "r2"]
    rest = await library.outcomes.of(kernel_id, page.next_cursor, 2)
    assert rest.items == (culled,)


async def test_a_field_report_under_a_taken_id_is_refused(library: Library) -> None:
    kernel_id = str((await register(library, kernel_file())).metadata.kernel_id)
    await library.outcomes.add(ACTOR, outcome(kernel_id, "r1", 0.1))
    with pytest.raises(SubmissionError, match="another report"):
        await library.outcomes.add(ACTOR, outcome(kernel_id, "r1", 0.2))
    with pytest.raises(KernelNotFoundError):
        await library.outcomes.add(ACTOR, outcome("0" * 64, "r2", 0.2))


async def test_the_lineage_shows_origin_siblings_names_and_reports(library: Library) -> None:
    first = await build(library)
    kernel_id = str(first.metadata.kernel_id)
    blueprint_record = await library.blueprints.get("bp-1")
    sibling = await register(library, kernel_file(7), blueprint_id="bp-1")
    alias = await library.aliases.put(ACTOR, "fc@production", kernel_id, None)
    told = outcome(kernel_id, "r1", 0.1)
    await library.outcomes.add(ACTOR, told)
    found = await library.kernels.lineage(kernel_id)
    assert found.kernel == await kernel_of(library, kernel_id)
    assert found.blueprint == blueprint_record
    assert found.siblings == (sibling.metadata.kernel_id,)
    assert found.aliases == (alias,)
    assert found.outcomes == (told,)


async def test_a_kernel_that_was_registered_before_its_proof_gets_the_proof(
    library: Library,
) -> None:
    await library.blueprints.submit(ACTOR, blueprint())
    candidate = await register(library, kernel_file())
    lease = await lease_of(library)
    proven = await complete(library, lease, kernel_file())
    assert candidate.status is KernelStatus.CANDIDATE
    assert proven.status is KernelStatus.VALIDATED
    assert proven.latency_us == 10.0
