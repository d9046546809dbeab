"""Blueprints and the leases of those who build them, on every backend."""

from __future__ import annotations

import asyncio

import pytest

from esper.contracts.enums import BlueprintState, KernelMode, KernelStatus
from esper.contracts.errors import (
    ArtifactError,
    IllegalTransitionError,
    LeaseLostError,
    LibraryNotFoundError,
    RevisionConflictError,
    SubmissionError,
)
from esper.contracts.library import KernelRegistration
from esper.contracts.lifecycle import BlueprintEvent
from esper.services.urza.kernel_library import Library
from support.clocks import StillClock
from support.stored import (
    ACTOR,
    blueprint,
    build,
    complete,
    id_of,
    kernel_file,
    lease_of,
    report,
    state_of,
    upload,
)

pytestmark = pytest.mark.asyncio


async def test_a_submitted_blueprint_waits_for_the_forge(library: Library) -> None:
    record, new = await library.blueprints.submit(ACTOR, blueprint())
    assert new
    assert record.blueprint.state is BlueprintState.UNVALIDATED
    assert await library.blueprints.get("bp-1") == record
    assert (await library.leases.waiting()).items == (record,)


async def test_a_proposed_blueprint_does_not_wait_until_it_is_submitted(library: Library) -> None:
    proposed = blueprint(state=BlueprintState.PROPOSED)
    assert (await library.blueprints.submit(ACTOR, proposed))[0].revision == 1
    assert (await library.leases.waiting()).items == ()
    moved = await library.blueprints.move(ACTOR, "bp-1", BlueprintEvent.SUBMIT, 1)
    assert (await library.leases.waiting()).items == (moved,)


async def test_submitting_again_changes_nothing(library: Library) -> None:
    first, _ = await library.blueprints.submit(ACTOR, blueprint())
    assert await library.blueprints.submit(ACTOR, blueprint()) == (first, False)
    await lease_of(library)
    assert (await library.blueprints.submit(ACTOR, blueprint()))[0].revision == 2


async def test_another_blueprint_under_a_taken_id_is_refused(library: Library) -> None:
    await library.blueprints.submit(ACTOR, blueprint())
    with pytest.raises(SubmissionError, match="another blueprint"):
        await library.blueprints.submit(ACTOR, blueprint(width=5))


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": 1},
        {"input_shape": (5,)},
        {"output_shape": (5,)},
        {"architecture": {"schema": 1}},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_blueprint_that_lies_about_itself_is_refused(
    library: Library, changes: dict[str, object]
) -> None:
    with pytest.raises(SubmissionError):
        await library.blueprints.submit(ACTOR, blueprint(**changes))


async def test_a_search_of_blueprints_goes_page_by_page(library: Library) -> None:
    for number in range(3):
        await library.blueprints.submit(ACTOR, blueprint(f"bp-{number}", host="linear"))
    await library.blueprints.submit(ACTOR, blueprint("other", family="glu"))
    page = await library.blueprints.search(family="mlp", host="linear", limit=2)
    assert [record.blueprint.blueprint_id for record in page.items] == ["bp-2", "bp-1"]
    rest = await library.blueprints.search(family="mlp", cursor=page.next_cursor, limit=2)
    assert [record.blueprint.blueprint_id for record in rest.items] == ["bp-0"]
    assert (await library.blueprints.search(state=BlueprintState.INVALID)).items == ()


async def test_only_a_lease_makes_the_moves_of_building(library: Library) -> None:
    await library.blueprints.submit(ACTOR, blueprint())
    for event in (BlueprintEvent.LEASE, BlueprintEvent.VALIDATE):
        with pytest.raises(IllegalTransitionError, match="lease"):
            await library.blueprints.move(ACTOR, "bp-1", event, 1)
    with pytest.raises(RevisionConflictError):
        await library.blueprints.move(ACTOR, "bp-1", BlueprintEvent.ARCHIVE, 2)
    with pytest.raises(LibraryNotFoundError):
        await library.blueprints.move(ACTOR, "nobody", BlueprintEvent.ARCHIVE, 1)
    archived = await library.blueprints.move(ACTOR, "bp-1", BlueprintEvent.ARCHIVE, 1)
    assert archived.blueprint.state is BlueprintState.ARCHIVED


async def test_the_oldest_blueprint_is_leased_first_and_once(
    library: Library, clock: StillClock
) -> None:
    for number in range(3):
        await library.blueprints.submit(ACTOR, blueprint(f"bp-{number}"))
        clock.advance(1)
    granted = await asyncio.gather(*(library.leases.grant(ACTOR, f"w{n}", 60) for n in range(4)))
    leases = [lease for lease in granted if lease is not None]
    assert sorted(lease.blueprint.blueprint_id for lease in leases) == ["bp-0", "bp-1", "bp-2"]
    assert all((lease.token, lease.attempt) == (1, 1) for lease in leases)
    assert await state_of(library, "bp-0") is BlueprintState.COMPILING


async def test_a_completed_lease_makes_kernel_and_blueprint_valid_together(
    library: Library,
) -> None:
    kernel = await build(library)
    record = await library.blueprints.get("bp-1")
    assert kernel.status is KernelStatus.VALIDATED
    assert kernel.latency_us == 10.0
    assert kernel.blueprint_id == "bp-1"
    assert record.blueprint.state is BlueprintState.VALIDATED
    assert record.kernels == (kernel.metadata.kernel_id,)
    assert record.report == kernel.report


async def test_completing_again_gives_the_same_answer(library: Library) -> None:
    await library.blueprints.submit(ACTOR, blueprint())
    lease = await lease_of(library)
    first = await complete(library, lease, kernel_file())
    assert await complete(library, lease, kernel_file()) == first
    with pytest.raises(LeaseLostError):
        await complete(library, lease, kernel_file(seed=1))


async def test_a_worker_whose_lease_went_to_another_can_change_nothing(
    library: Library, clock: StillClock
) -> None:
    await library.blueprints.submit(ACTOR, blueprint())
    slow = await lease_of(library, "slow", 10)
    assert await library.leases.grant(ACTOR, "early", 10) is None
    clock.advance(10)
    fast = await lease_of(library, "fast", 10)
    assert (fast.token, fast.attempt) == (2, 2)
    with pytest.raises(LeaseLostError):
        await library.leases.renew(ACTOR, "bp-1", slow.token, 10)
    with pytest.raises(LeaseLostError):
        await complete(library, slow, kernel_file(seed=1))
    with pytest.raises(LeaseLostError):
        await library.leases.fail(ACTOR, "bp-1", slow.token, "late", None, retry=True)
    kernel = await complete(library, fast, kernel_file())
    assert (await library.blueprints.get("bp-1")).kernels == (kernel.metadata.kernel_id,)


async def test_a_renewed_lease_is_not_given_away(library: Library, clock: StillClock) -> None:
    await library.blueprints.submit(ACTOR, blueprint())
    lease = await lease_of(library, "worker", 10)
    for _ in range(3):
        clock.advance(8)
        renewed = await library.leases.renew(ACTOR, "bp-1", lease.token, 10)
        assert renewed.expires_at.timestamp() == clock.now() + 10
        assert await library.leases.grant(ACTOR, "other", 10) is None


async def test_a_failed_build_goes_to_the_end_of_the_queue_and_then_aside(
    library: Library, clock: StillClock
) -> None:
    await library.blueprints.submit(ACTOR, blueprint("poison"))
    clock.advance(1)
    await library.blueprints.submit(ACTOR, blueprint("good"))
    for attempt in range(1, 4):
        clock.advance(1)
        lease = await lease_of(library)
        if attempt == 2:
            assert lease.blueprint.blueprint_id == "good"
            await complete(library, lease, kernel_file())
            lease = await lease_of(library)
        assert (lease.blueprint.blueprint_id, lease.attempt) == ("poison", attempt)
        record = await library.leases.fail(ACTOR, "poison", lease.token, "boom", None, retry=True)
    assert record.blueprint.state is BlueprintState.INVALID
    assert "3 tries" in record.reason
    assert "boom" in record.reason
    assert await library.leases.grant(ACTOR, "worker", 60) is None


async def test_a_failure_that_no_retry_helps_makes_the_blueprint_invalid(
    library: Library,
) -> None:
    await library.blueprints.submit(ACTOR, blueprint())
    lease = await lease_of(library)
    proof = report(passed=False, reason="not finite")
    record = await library.leases.fail(ACTOR, "bp-1", lease.token, "no", proof, retry=False)
    assert (record.blueprint.state, record.reason) == (BlueprintState.INVALID, "no")
    assert record.report == proof
    again = await library.blueprints.move(ACTOR, "bp-1", BlueprintEvent.REOPEN, record.revision)
    assert (again.attempts, again.reason) == (0, "")


async def test_a_blueprint_whose_workers_die_is_set_aside(
    library: Library, clock: StillClock
) -> None:
    await library.blueprints.submit(ACTOR, blueprint())
    for attempt in range(1, 4):
        assert (await lease_of(library, f"w{attempt}", 10)).attempt == attempt
        clock.advance(11)
    assert await library.leases.grant(ACTOR, "w4", 10) is None
    record = await library.blueprints.get("bp-1")
    assert record.blueprint.state is BlueprintState.INVALID
    assert "w3 died" in record.reason


async def test_a_kernel_of_another_graph_is_not_published(library: Library) -> None:
    await library.blueprints.submit(ACTOR, blueprint())
    lease = await lease_of(library)
    with pytest.raises(SubmissionError, match="graph"):
        await complete(library, lease, kernel_file(width=5))
    assert await state_of(library) is BlueprintState.COMPILING


async def test_a_kernel_of_another_mode_is_not_published(library: Library) -> None:
    await library.blueprints.submit(ACTOR, blueprint(mode=KernelMode.RESIDUAL))
    lease = await lease_of(library)
    with pytest.raises(SubmissionError, match="replacing"):
        await complete(library, lease, kernel_file())


async def test_a_broken_file_is_not_published(library: Library) -> None:
    await library.blueprints.submit(ACTOR, blueprint())
    lease = await lease_of(library)
    with pytest.raises(ArtifactError):
        await complete(library, lease, b"no kernel")
    assert await state_of(library) is BlueprintState.COMPILING


async def test_a_kernel_whose_bytes_are_missing_or_unproven_is_not_published(
    library: Library,
) -> None:
    await library.blueprints.submit(ACTOR, blueprint())
    lease = await lease_of(library)
    registration = KernelRegistration(kernel_id=id_of(kernel_file()))
    with pytest.raises(SubmissionError, match="upload"):
        await library.leases.complete(ACTOR, "bp-1", lease.token, registration, report())
    await upload(library, kernel_file())
    with pytest.raises(SubmissionError, match="proof"):
        await library.leases.complete(
            ACTOR, "bp-1", lease.token, registration, report(passed=False)
        )
