"""The commands that talk to a library, in this process, against a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import Result
from typer.testing import CliRunner

from esper.cli.app import app
from esper.cli.exit_codes import ExitCode
from esper.contracts.enums import Role
from esper.contracts.library import KernelRegistration
from esper.execution.artifact_check import kernel_id_of
from esper.execution.kernel_store import LocalKernelStore
from esper.services.urza.client.urza_client import UrzaClient
from kernels import kernel_file
from support.urza_server import UrzaServer

pytestmark = pytest.mark.slow

Run = Callable[..., Result]
PLACE = ["--host", "linear", "--input", "8", "--output-shape", "4"]


@pytest.fixture
def run(server: UrzaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command as the bearer of a role, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ESPER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ESPER_URZA_URL", server.url)
    monkeypatch.delenv("ESPER_URZA_TOKEN_FILE", raising=False)

    def run(*words: str, role: Role | None = Role.ADMIN, status: int = ExitCode.OK) -> Result:
        if role is None:
            monkeypatch.delenv("ESPER_URZA_TOKEN", raising=False)
        else:
            monkeypatch.setenv("ESPER_URZA_TOKEN", server.tokens[role])
        result = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
        assert result.exit_code == status, result.output
        return result

    return run


@pytest.fixture
def kernel(run: Run, tmp_path: Path) -> Path:
    """A kernel file that the library has not seen."""
    path = tmp_path / "k.safetensors"
    seed = str(uuid4().int % 2**31)
    run("kernel", "build", "--family", "low-rank", *PLACE, "--seed", seed, "-o", str(path))
    return path


def first_word(result: Result) -> str:
    return result.stdout.split()[0]


def test_a_kernel_goes_to_the_library_and_comes_back(run: Run, kernel: Path) -> None:
    task = uuid4().hex
    pushed = run("kernel", "push", str(kernel), "--host", "linear", "--tag", f"task={task}")
    kernel_id = first_word(pushed)
    assert kernel_id == kernel_id_of(kernel.read_bytes())
    assert "candidate" in pushed.stdout
    found = run("kernel", "search", "--tag", f"task={task}", *PLACE, role=Role.READER)
    assert kernel_id in found.stdout
    run("kernel", "pull", kernel_id, role=Role.READER)
    assert LocalKernelStore().get(kernel_id) == kernel.read_bytes()
    run("kernel", "pull", kernel_id, "-o", "copy.safetensors", role=Role.READER)
    assert Path("copy.safetensors").read_bytes() == kernel.read_bytes()


def test_a_kernel_of_the_store_is_pushed_by_the_beginning_of_its_id(run: Run, kernel: Path) -> None:
    kernel_id = LocalKernelStore().put(kernel.read_bytes())
    assert first_word(run("kernel", "push", kernel_id[:12])) == kernel_id


def test_a_search_can_be_read_by_a_program(run: Run, kernel: Path) -> None:
    task = uuid4().hex
    run("kernel", "push", str(kernel), "--tag", f"task={task}")
    words = ("kernel", "search", "--tag", f"task={task}", "--sort", "newest", "--json")
    (record,) = json.loads(run(*words).stdout)
    assert record["metadata"]["kernel_id"] == kernel_id_of(kernel.read_bytes())
    assert json.loads(run(*words, "--max-parameters", "1").stdout) == []
    assert json.loads(run(*words, "--status", "validated").stdout) == []


@pytest.mark.parametrize(
    "words",
    [
        ("kernel", "search", "--sort", "beauty"),
        ("kernel", "search", "--status", "great"),
        ("kernel", "search", "--mode", "sideways"),
        ("kernel", "search", "--input", "a"),
        ("kernel", "search", "--tag", "novalue"),
        ("kernel", "search", "--tag", "a=1", "--tag", "a=2"),
        ("kernel", "search", "--tag", "bad name=1"),
        ("kernel", "pull", "3f1c"),
        ("kernel", "pull", "0" * 64, "1" * 64, "-o", "one.safetensors"),
        ("kernel", "promote", "0" * 64),
        ("kernel", "promote", "0" * 64, "--event", "adore"),
        ("kernel", "promote", "0" * 64, "a@b", "--event", "validate", "--revision", "1"),
        ("blueprints", "search", "--state", "odd"),
        ("blueprints", "push"),
        ("blueprints", "push", "--family", "low-rank"),
        ("blueprints", "push", "nowhere.json"),
        ("urza", "token", "issue", "a b", "--role", "reader"),
        ("urza", "token", "issue", "a", "--role", "king"),
    ],
)
def test_what_is_typed_wrong_is_a_usage_error(run: Run, words: tuple[str, ...]) -> None:
    assert "Error: " in run(*words, status=ExitCode.USAGE).output


def test_a_kernel_is_promoted_and_found_under_its_name(run: Run, kernel: Path) -> None:
    kernel_id = first_word(run("kernel", "push", str(kernel), role=Role.TRAINER))
    name = f"a{uuid4().hex[:8]}@production"
    run("kernel", "promote", kernel_id, name, role=Role.PROMOTER, status=ExitCode.REFUSED)
    words = ("--event", "validate", "--reason", "by hand")
    promoted = run("kernel", "promote", kernel_id, name, *words, role=Role.PROMOTER)
    assert "validated" in promoted.stdout
    assert f"{name} → {kernel_id}" in promoted.stdout
    assert kernel_id in run("kernel", "pull", name).stdout
    again = run("kernel", "promote", kernel_id, name, "--revision", "0", status=ExitCode.REFUSED)
    assert "Error: " in again.output
    assert f"was {kernel_id}" in run("kernel", "promote", kernel_id, name).stdout
    assert name in run("kernel", "lineage", name).stdout


def test_a_rejected_kernel_is_pulled_only_by_whoever_insists(run: Run, kernel: Path) -> None:
    kernel_id = first_word(run("kernel", "push", str(kernel)))
    run("kernel", "promote", kernel_id, "--event", "reject", "--reason", "learns nothing")
    refused = run("kernel", "pull", kernel_id, status=ExitCode.FILE)
    assert "was rejected" in refused.output
    assert not LocalKernelStore().exists(kernel_id)
    run("kernel", "pull", kernel_id, "--rejected")
    run("kernel", "promote", kernel_id, "--event", "reinstate", status=ExitCode.REFUSED)


def test_a_kernel_is_signed_beside_its_file_and_pushed_with_it(run: Run, kernel: Path) -> None:
    run("kernel", "sign", str(kernel), "--key", "me.pem", "--new-key")
    assert Path("me.pem").stat().st_mode & 0o077 == 0
    pushed = run("kernel", "push", str(kernel))
    assert "signed by" in pushed.stdout
    run("kernel", "pull", first_word(pushed), "--trust", "me.pem.pub", "-o", "copy.safetensors")
    assert Path("copy.safetensors.sig").exists()


def test_a_kernel_of_the_library_is_signed_there(run: Run, kernel: Path) -> None:
    kernel_id = first_word(run("kernel", "push", str(kernel)))
    untrusted = ("kernel", "pull", kernel_id, "--trust", "me.pem.pub")
    other = kernel.with_name("other.safetensors")
    other.write_bytes(kernel_file())
    run("kernel", "sign", str(other), "--key", "me.pem", "--new-key")
    refused = run(*untrusted, status=ExitCode.FILE)
    assert "signed by nobody" in refused.output
    assert not LocalKernelStore().exists(kernel_id)
    run("kernel", "sign", kernel_id, "--key", "me.pem", role=Role.PROMOTER)
    run(*untrusted)
    assert len(LocalKernelStore().signatures(kernel_id)) == 1


def test_a_kernel_that_is_known_keeps_its_signatures_and_this_is_said(
    run: Run, kernel: Path
) -> None:
    run("kernel", "push", str(kernel))
    run("kernel", "sign", str(kernel), "--key", "me.pem", "--new-key")
    assert "had this kernel already" in run("kernel", "push", str(kernel)).output


def test_a_damaged_file_is_not_sent(run: Run, kernel: Path, server: UrzaServer) -> None:
    good = kernel.read_bytes()
    bad = kernel.with_name("bad.safetensors")
    bad.write_bytes(good[:-1])
    run("kernel", "push", str(kernel), str(bad), status=ExitCode.FILE)
    with UrzaClient(server.url) as client:
        assert client.blob_size(kernel_id_of(good)) is None
        assert client.blob_size(kernel_id_of(good[:-1])) is None


def test_blueprints_are_pushed_once_and_pulled_as_graphs(run: Run) -> None:
    words = ("blueprints", "push", "--family", "low-rank", "--size", "small", *PLACE)
    pushed = json.loads(run(*words, "--json", role=Role.TRAINER).stdout)
    again = json.loads(run(*words, "--json", role=Role.TRAINER).stdout)
    assert [r["blueprint"]["blueprint_id"] for r in pushed] == [
        r["blueprint"]["blueprint_id"] for r in again
    ]
    assert {r["blueprint"]["mode"] for r in pushed} == {"replacing", "residual"}
    blueprint_id = pushed[0]["blueprint"]["blueprint_id"]
    found = run("blueprints", "search", "--family", "low-rank", "--host", "linear")
    assert blueprint_id in found.stdout
    run("blueprints", "pull", blueprint_id, "-o", "graph.json", role=Role.READER)
    run("kernel", "build", "--ir", "graph.json", "-o", "built.safetensors")
    run("blueprints", "pull", blueprint_id, "--json", "-o", "record.json", role=Role.READER)
    (same,) = json.loads(run("blueprints", "push", "record.json", "--json").stdout)
    assert same["blueprint"]["blueprint_id"] == blueprint_id
    (own,) = json.loads(
        run("blueprints", "push", "graph.json", "--name", "mine", "--proposed", "--json").stdout
    )
    assert own["blueprint"]["state"] == "proposed"
    assert own["blueprint"]["name"] == "mine"


def test_a_lineage_can_be_read_by_a_program(run: Run, kernel: Path) -> None:
    kernel_id = first_word(run("kernel", "push", str(kernel)))
    found = json.loads(run("kernel", "lineage", kernel_id, "--json").stdout)
    assert found["kernel"]["metadata"]["kernel_id"] == kernel_id
    assert found["outcomes"] == []


def test_who_may_not_has_the_status_of_a_refusal(run: Run, kernel: Path) -> None:
    for role in (None, Role.READER, Role.PROMOTER):
        run("kernel", "push", str(kernel), role=role, status=ExitCode.REFUSED)
    run("kernel", "pull", "0" * 64, role=None, status=ExitCode.FILE)
    run("kernel", "pull", "nobody@production", role=None, status=ExitCode.REFUSED)


def test_a_library_that_is_away_has_a_status_of_its_own(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esper.services.urza.client.urza_client.FIRST_DELAY", 0.0)
    away = run("kernel", "search", "--urza", "http://127.0.0.1:1", status=ExitCode.UNAVAILABLE)
    assert "esper urza serve" in away.output


def test_tokens_are_issued_listed_and_revoked_over_the_network(
    run: Run, server: UrzaServer
) -> None:
    remote = ("--urza", server.url)
    issued = run("urza", "token", "issue", "ci", "--role", "reader", "-o", "ci.token", *remote)
    assert "esper_" not in issued.output
    assert Path("ci.token").stat().st_mode & 0o077 == 0
    secret = Path("ci.token").read_text().strip()
    token_id = secret.split("_")[1]
    assert token_id in run("urza", "token", "list", *remote).stdout
    assert secret not in run("urza", "token", "list", "--json", *remote).stdout
    run("urza", "token", "revoke", token_id, *remote)
    assert "revoked" in run("urza", "token", "list", *remote).stdout
    run("urza", "token", "list", *remote, role=Role.READER, status=ExitCode.REFUSED)
    run("urza", "token", "issue", "ci", "--role", "reader", "-o", "ci.token", *remote, status=2)


def test_a_token_that_could_not_be_issued_leaves_no_file(run: Run, server: UrzaServer) -> None:
    words = ("urza", "token", "issue", "ci", "--role", "reader", "-o", "x", "--urza", server.url)
    run(*words, role=Role.READER, status=ExitCode.REFUSED)
    assert not Path("x").exists()


def test_the_audit_log_is_shown_and_checked_over_the_network(run: Run, server: UrzaServer) -> None:
    remote = ("--urza", server.url)
    shown = run("urza", "audit", "--limit", "3", *remote)
    assert "token.issue" in shown.stdout
    assert len(json.loads(run("urza", "audit", "--limit", "3", "--json", *remote).stdout)) == 3
    assert "good" in run("urza", "audit", "--verify", *remote).stdout
    run("urza", "audit", *remote, role=Role.PROMOTER, status=ExitCode.REFUSED)


def test_garbage_is_counted_and_collected_over_the_network(run: Run, server: UrzaServer) -> None:
    data = uuid4().bytes
    with UrzaClient(server.url, server.tokens[Role.ADMIN]) as client:
        client.put_blob(data)
        remote = ("--urza", server.url)
        assert "0 blobs" in run("urza", "gc", *remote).stdout
        counted = run("urza", "gc", "--grace-hours", "0", "--dry-run", *remote)
        assert "would be removed" in counted.stdout
        assert client.blob_size(kernel_id_of(data)) == len(data)
        run("urza", "gc", "--grace-hours", "0", *remote)
        assert client.blob_size(kernel_id_of(data)) is None


def test_the_commands_of_the_keeper_work_beside_the_server(run: Run, server: UrzaServer) -> None:
    local = ("--folder", str(server.folder))
    issued = run("urza", "token", "issue", "keeper", "--role", "trainer", *local, role=None)
    secret = first_word(issued)
    token_id = secret.split("_")[1]
    data = kernel_file(seed=uuid4().int % 2**31)
    with UrzaClient(server.url, secret) as client:
        client.deposit(data, KernelRegistration(kernel_id=kernel_id_of(data)))
    assert token_id in run("urza", "token", "list", *local, role=None).stdout
    run("urza", "token", "revoke", token_id, *local, role=None)
    assert "local" in run("urza", "audit", "--limit", "9999", *local, role=None).stdout
    assert "good" in run("urza", "audit", "--verify", *local, role=None).stdout
    run("urza", "gc", "--grace-hours", "0", *local, role=None)
    assert run("kernel", "pull", kernel_id_of(data))


def test_migrations_go_up_and_down_and_are_checked(run: Run, tmp_path: Path) -> None:
    local = ("urza", "migrate", "--folder", str(tmp_path / "library"))
    assert "none" in run(*local, "--check", status=ExitCode.FAILED).stdout
    assert not (tmp_path / "library").exists()
    assert "none → " in run(*local).stdout
    assert "current" in run(*local, "--check").stdout
    run(*local, "--down", "base")
    run(*local, "--check", status=ExitCode.FAILED)
    run(*local, "--down", "no-such-revision", status=ExitCode.USAGE)
