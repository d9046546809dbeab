"""Both clients against a real server: every call, and every way in which it is refused."""

from __future__ import annotations

from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from esper.blueprints.build import build
from esper.contracts import errors
from esper.contracts.assets import Blueprint
from esper.contracts.enums import AdaptationOutcome, BlueprintState, KernelMode, KernelStatus, Role
from esper.contracts.library import (
    KernelOutcome,
    KernelQuery,
    KernelRegistration,
    TokenRequest,
    Toolchain,
    ValidationReport,
)
from esper.contracts.lifecycle import BlueprintEvent, KernelEvent
from esper.contracts.operational import FieldReport
from esper.execution.artifact import pack
from esper.execution.artifact_check import kernel_id_of, reference_cost
from esper.execution.signatures import sign
from esper.execution.trust import TrustPolicy
from esper.services.urza.client.urza_client import UrzaClient
from kernels import mlp_graph
from support.urza_server import As, UrzaServer

pytestmark = pytest.mark.slow

TOOLCHAIN = Toolchain(esper="0", torch="0", python="3", machine="test")
PASSED = ValidationReport(passed=True, toolchain=TOOLCHAIN)
FAILED = ValidationReport(passed=False, reason="not finite", toolchain=TOOLCHAIN)


@pytest.fixture
def trainer(as_role: As) -> UrzaClient:
    return as_role(Role.TRAINER)


@pytest.fixture
def compiler(as_role: As) -> UrzaClient:
    return as_role(Role.COMPILER)


@pytest.fixture
def promoter(as_role: As) -> UrzaClient:
    return as_role(Role.PROMOTER)


@pytest.fixture
def admin(as_role: As) -> UrzaClient:
    return as_role(Role.ADMIN)


def new_blueprint(host: str = "linear") -> Blueprint:
    graph = mlp_graph()
    price = reference_cost(graph)
    return Blueprint(
        name=f"test-{uuid4().hex[:8]}",
        family="custom",
        size="custom",
        mode=KernelMode.REPLACING,
        architecture=graph.to_dict(),
        input_shape=(4,),
        output_shape=(4,),
        parameters=price.parameters,
        flops=price.flops,
        host=host,
        state=BlueprintState.UNVALIDATED,
    )


def new_kernel(name: str = "test") -> bytes:
    """A kernel file that nobody has seen before."""
    graph = mlp_graph()
    module = build(graph, seed=uuid4().int % 2**31)
    return pack(module, graph, KernelMode.REPLACING, blueprint=name)


def registered(data: bytes, **fields: object) -> KernelRegistration:
    return KernelRegistration.model_validate({"kernel_id": kernel_id_of(data), **fields})


def test_a_blueprint_goes_through_the_forge(trainer: UrzaClient, compiler: UrzaClient) -> None:
    blueprint = new_blueprint()
    assert trainer.submit(blueprint) == trainer.submit(blueprint)
    assert blueprint.blueprint_id in {
        r.blueprint.blueprint_id for r in compiler.waiting(limit=100).items
    }
    lease = compiler.lease("w1", seconds=30)
    assert lease is not None
    assert lease.blueprint.blueprint_id == blueprint.blueprint_id
    renewed = compiler.renew(lease, seconds=60)
    assert renewed.expires_at > lease.expires_at
    data = new_kernel(blueprint.name)
    record = compiler.complete(renewed, data, registered(data), PASSED)
    assert record.status is KernelStatus.VALIDATED
    assert compiler.complete(renewed, data, registered(data), PASSED) == record
    assert trainer.blueprint(blueprint.blueprint_id).blueprint.state is BlueprintState.VALIDATED
    assert trainer.fetch(kernel_id_of(data)) == data
    found = trainer.lineage(kernel_id_of(data))
    assert found.blueprint is not None
    assert found.blueprint.blueprint.blueprint_id == blueprint.blueprint_id
    assert found.kernel.report == PASSED
    assert compiler.lease("w1", seconds=30) is None


def test_a_lease_that_was_lost_changes_nothing(trainer: UrzaClient, compiler: UrzaClient) -> None:
    trainer.submit(new_blueprint())
    slow = compiler.lease("slow", seconds=0.01)
    assert slow is not None
    quick = None
    while quick is None:
        quick = compiler.lease("quick", seconds=30)
    assert quick.token > slow.token
    data = new_kernel()
    with pytest.raises(errors.LeaseLostError):
        compiler.complete(slow, data, registered(data), PASSED)
    with pytest.raises(errors.LeaseLostError):
        compiler.renew(slow, seconds=30)
    with pytest.raises(errors.LeaseLostError):
        compiler.fail(slow, reason="x", report=None, retry=False)
    record = compiler.fail(quick, reason="not finite", report=FAILED, retry=False)
    assert record.blueprint.state is BlueprintState.INVALID
    assert record.reason == "not finite"


def test_a_failure_that_may_pass_gives_the_blueprint_back(
    trainer: UrzaClient, compiler: UrzaClient, promoter: UrzaClient
) -> None:
    blueprint = new_blueprint()
    trainer.submit(blueprint)
    lease = compiler.lease("w1", seconds=30)
    assert lease is not None
    record = compiler.fail(lease, reason="killed", report=None, retry=True)
    assert record.blueprint.state is BlueprintState.UNVALIDATED
    moved = promoter.move_blueprint(
        blueprint.blueprint_id, BlueprintEvent.ARCHIVE, revision=record.revision, reason="enough"
    )
    assert moved.blueprint.state is BlueprintState.ARCHIVED


def test_blueprints_are_found_page_by_page(trainer: UrzaClient, promoter: UrzaClient) -> None:
    mine = [new_blueprint("paged") for _ in range(5)]
    for blueprint in mine:
        record = trainer.submit(blueprint)
        promoter.move_blueprint(
            blueprint.blueprint_id, BlueprintEvent.ARCHIVE, revision=record.revision
        )
    found, cursor = [], None
    while True:
        page = trainer.blueprints(
            host="paged", state=BlueprintState.ARCHIVED, family="custom", cursor=cursor, limit=2
        )
        assert len(page.items) <= 2
        found += [record.blueprint.blueprint_id for record in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert {blueprint.blueprint_id for blueprint in mine} <= set(found)
    assert len(found) == len(set(found))


def test_a_kernel_is_stored_once_and_found_by_what_it_is(trainer: UrzaClient) -> None:
    data, task = new_kernel(), uuid4().hex
    first = trainer.deposit(data, registered(data, host="linear", tags={"task": task, "a": "b:c"}))
    again = trainer.deposit(data, registered(data, host="linear"))
    assert first == again == trainer.kernel(kernel_id_of(data))
    assert trainer.blob_size(kernel_id_of(data)) == len(data)
    assert trainer.put_blob(data) is False
    tags = {"task": task, "a": "b:c"}
    assert trainer.search(KernelQuery(tags=tags, input_shape="4"), limit=5) == [first]
    assert trainer.search(KernelQuery(tags=tags, host="linear", max_bytes=1), limit=5) == []
    assert trainer.kernels(KernelQuery(tags=tags), sort="parameters").items == (first,)


def test_a_search_follows_the_pages_to_its_limit(
    trainer: UrzaClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esper.services.urza.client.core.PAGE", 2)
    task = uuid4().hex
    for _ in range(5):
        data = new_kernel()
        trainer.deposit(data, registered(data, tags={"task": task}))
    query = KernelQuery(tags={"task": task})
    assert len(trainer.search(query, limit=10)) == 5
    assert len(trainer.search(query, limit=3)) == 3
    assert trainer.search(query, limit=0) == []


def test_what_is_no_kernel_is_refused_with_the_reason(trainer: UrzaClient) -> None:
    data = uuid4().bytes * 8
    trainer.put_blob(data)
    with pytest.raises(errors.ArtifactError):
        trainer.register(registered(data))
    with pytest.raises(errors.SubmissionError):
        trainer.deposit(data, registered(b"other bytes"))


def test_what_is_not_there_is_said_to_be_missing(trainer: UrzaClient) -> None:
    nothing = "0" * 64
    with pytest.raises(errors.KernelNotFoundError):
        trainer.fetch(nothing)
    with pytest.raises(errors.KernelNotFoundError):
        trainer.signatures(nothing)
    with pytest.raises(errors.LibraryNotFoundError):
        trainer.alias("nobody@production")
    with pytest.raises(errors.LibraryNotFoundError):
        trainer.blueprint("nobody")
    assert trainer.blob_size(nothing) is None


def test_a_kernel_moves_along_its_table_and_by_its_revision(
    trainer: UrzaClient, promoter: UrzaClient
) -> None:
    data = new_kernel()
    record = trainer.deposit(data, registered(data))
    kernel_id = kernel_id_of(data)
    with pytest.raises(errors.IllegalTransitionError):
        promoter.move_kernel(kernel_id, KernelEvent.REINSTATE, revision=record.revision)
    moved = promoter.move_kernel(kernel_id, KernelEvent.VALIDATE, revision=record.revision)
    assert moved.status is KernelStatus.VALIDATED
    with pytest.raises(errors.RevisionConflictError):
        promoter.move_kernel(kernel_id, KernelEvent.RETIRE, revision=record.revision)


def test_an_alias_is_moved_by_whoever_saw_it_last(
    trainer: UrzaClient, promoter: UrzaClient
) -> None:
    kernels = []
    for _ in range(2):
        data = new_kernel()
        record = trainer.deposit(data, registered(data))
        promoter.move_kernel(kernel_id_of(data), KernelEvent.VALIDATE, revision=record.revision)
        kernels.append(kernel_id_of(data))
    name = f"a{uuid4().hex[:8]}@production"
    alias = promoter.set_alias(name, kernels[0])
    with pytest.raises(errors.RevisionConflictError):
        promoter.set_alias(name, kernels[1])
    moved = promoter.set_alias(name, kernels[1], revision=alias.revision)
    with pytest.raises(errors.RevisionConflictError):
        promoter.set_alias(name, kernels[0], revision=alias.revision)
    assert trainer.alias(name) == moved
    assert name in {one.name for one in trainer.aliases(limit=200).items}
    with pytest.raises(errors.RevisionConflictError):
        promoter.delete_alias(name, revision=alias.revision)
    promoter.delete_alias(name, revision=moved.revision)
    with pytest.raises(errors.LibraryNotFoundError):
        trainer.alias(name)


def test_a_signature_reaches_whoever_must_trust_it(
    trainer: UrzaClient, promoter: UrzaClient
) -> None:
    key, data = Ed25519PrivateKey.generate(), new_kernel()
    trainer.deposit(data, registered(data))
    kernel_id = kernel_id_of(data)
    assert trainer.signatures(kernel_id) == ()
    promoter.sign(kernel_id, sign(kernel_id, key))
    TrustPolicy.of([key.public_key()]).check(kernel_id, trainer.signatures(kernel_id))


def test_what_a_kernel_did_is_told_once_and_counts(trainer: UrzaClient) -> None:
    data = new_kernel()
    trainer.deposit(data, registered(data))
    kernel_id = kernel_id_of(data)
    outcome = KernelOutcome(
        report_id=uuid4().hex,
        run_id="run-1",
        kernel_id=kernel_id,
        before=1.0,
        after=0.75,
        report=FieldReport(
            step=10,
            layer_name="0",
            blueprint="test",
            kernel_id=kernel_id,
            outcome=AdaptationOutcome.FOSSILIZED,
            gain=0.25,
        ),
    )
    trainer.report(outcome)
    trainer.report(outcome)
    assert trainer.outcomes(kernel_id).items == (outcome,)
    record = trainer.kernel(kernel_id)
    assert (record.field_reports, record.proven_gain) == (1, 0.25)


def test_a_change_is_in_the_audit_log_under_its_author(
    trainer: UrzaClient, admin: UrzaClient
) -> None:
    blueprint = new_blueprint()
    trainer.submit(blueprint.model_copy(update={"state": BlueprintState.PROPOSED}))
    entries, cursor = [], None
    while True:
        page = admin.audit(cursor=cursor)
        entries += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    (entry,) = [one for one in entries if one.subject == blueprint.blueprint_id]
    assert "trainer" in entry.actor
    assert admin.verify_audit() == len(entries)


def test_a_token_works_until_it_is_revoked(server: UrzaServer, admin: UrzaClient) -> None:
    issued = admin.issue_token(TokenRequest(name="ci", roles=(Role.TRAINER,), days=1))
    assert issued.record in admin.tokens().items
    blueprint = new_blueprint().model_copy(update={"state": BlueprintState.PROPOSED})
    with UrzaClient(server.url, issued.secret) as client:
        assert client.submit(blueprint)
        admin.revoke_token(issued.record.token_id)
        admin.revoke_token(issued.record.token_id)
        with pytest.raises(errors.AccessDeniedError):
            client.submit(blueprint)


def test_a_blob_that_nothing_refers_to_is_collected(admin: UrzaClient) -> None:
    data = uuid4().bytes
    assert admin.put_blob(data) is True
    assert admin.collect_garbage().blobs == 0
    assert admin.collect_garbage(grace_seconds=0, dry_run=True).blobs >= 1
    assert admin.blob_size(kernel_id_of(data)) == len(data)
    report = admin.collect_garbage(grace_seconds=0)
    assert report.blobs >= 1
    assert report.bytes >= len(data)
    assert admin.blob_size(kernel_id_of(data)) is None


@pytest.mark.parametrize("role", [None, Role.READER, Role.COMPILER])
def test_who_may_not_is_denied(as_role: As, role: Role | None) -> None:
    client = as_role(role)
    with pytest.raises(errors.AccessDeniedError):
        client.submit(new_blueprint())
    with pytest.raises(errors.AccessDeniedError):
        client.tokens()
    assert client.blueprints().items is not None


def test_a_token_that_was_never_issued_is_denied(server: UrzaServer) -> None:
    stranger = f"esper_{'0' * 16}_{'x' * 43}"
    with UrzaClient(server.url, stranger) as client, pytest.raises(errors.AccessDeniedError):
        client.aliases()


@pytest.mark.parametrize("reference", ["../tokens/", "a?b", "..", ""])
def test_a_name_with_other_characters_reaches_nothing(as_role: As, reference: str) -> None:
    admin = as_role(Role.ADMIN)
    for ask in (admin.blueprint, admin.kernel, admin.alias, admin.fetch):
        with pytest.raises((errors.LibraryError, errors.KernelError)):
            ask(reference)
