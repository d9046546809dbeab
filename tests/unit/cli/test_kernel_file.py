from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from esper.cli.app import app
from esper.execution.artifact_check import kernel_id_of
from esper.execution.kernel_store import LocalKernelStore
from esper.execution.signature_file import add_signature
from esper.execution.signatures import sign, write_public_key


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "k.safetensors"
    place = ["--host", "linear", "--input", "8", "--output-shape", "4"]
    command = ["kernel", "build", "--family", "low-rank", *place, "-o", str(path)]
    assert CliRunner().invoke(app, command).exit_code == 0
    return path


def test_show_says_what_the_file_holds(kernel: Path) -> None:
    text = CliRunner().invoke(app, ["kernel", "show", str(kernel)]).output
    for part in ("low-rank/small", "replacing", "(8,) → (4,)", "linear"):
        assert part in text


def test_show_as_json_is_the_manifest_and_the_graph(kernel: Path) -> None:
    text = CliRunner().invoke(app, ["kernel", "show", "--json", str(kernel)]).output
    document = json.loads(text)
    assert document["metadata"]["mode"] == "replacing"
    assert document["ir"]["nodes"]


def test_verify_looks_at_every_file_and_fails_when_one_is_bad(kernel: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(kernel.read_bytes()[:-1])
    result = CliRunner().invoke(app, ["kernel", "verify", str(bad), str(kernel)])
    assert result.exit_code == 4
    assert f"{kernel}: good" in result.output.replace("\n", "")


def test_a_kernel_that_is_nowhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPER_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["kernel", "show", "abcdef"])
    assert result.exit_code == 4
    assert "abcdef" in result.output


def test_a_folder_is_no_kernel(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["kernel", "verify", str(tmp_path)]).exit_code == 4


def test_verify_with_trusted_keys_takes_signed_kernels_only(kernel: Path, tmp_path: Path) -> None:
    ours, theirs = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
    key = tmp_path / "ours.pub"
    write_public_key(key, ours.public_key())
    verify = ["kernel", "verify", str(kernel), "--trust", str(key)]
    kernel_id = kernel_id_of(kernel.read_bytes())
    result = CliRunner().invoke(app, verify)
    assert result.exit_code == 4
    assert "signed by nobody" in " ".join(result.output.split())
    add_signature(kernel, sign(kernel_id, theirs))
    assert CliRunner().invoke(app, verify).exit_code == 4
    add_signature(kernel, sign(kernel_id, ours))
    assert CliRunner().invoke(app, verify).exit_code == 0
    assert CliRunner().invoke(app, [*verify[:-1], str(kernel)]).exit_code == 2


def test_verify_finds_the_signatures_of_a_stored_kernel(
    kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESPER_HOME", str(tmp_path))
    ours = Ed25519PrivateKey.from_private_bytes(b"1" * 32)
    key = tmp_path / "ours.pub"
    write_public_key(key, ours.public_key())
    store = LocalKernelStore()
    kernel_id = store.put(kernel.read_bytes())
    verify = ["kernel", "verify", kernel_id[:8], "--trust", str(key)]
    assert CliRunner().invoke(app, verify).exit_code == 4
    store.sign(kernel_id, sign(kernel_id, ours))
    assert CliRunner().invoke(app, verify).exit_code == 0
