"""`esper urza` as whoever runs a library uses it: real processes, ports, signals and files."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from esper.contracts import errors
from esper.contracts.enums import Role
from esper.contracts.library import KernelRegistration
from esper.execution.artifact_check import kernel_id_of
from esper.services.urza.client.urza_client import UrzaClient
from kernels import kernel_file
from support import forked
from support.servers.s3 import S3Place
from support.urza_server import ESPER, urza_server, without_library

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def esper(
    *arguments: str, folder: Path, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [*ESPER, *arguments],
        cwd=folder,
        env={**without_library(), "ESPER_HOME": str(folder), **(settings or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_server_that_others_could_reach_is_not_started_without_authentication(
    tmp_path: Path,
) -> None:
    done = esper("urza", "serve", "--host", "0.0.0.0", "--port", "0", folder=tmp_path)
    assert done.returncode == 2
    assert "auth" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = esper("urza", "serve", "--port", port, folder=tmp_path)
    assert done.returncode == 6
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_is_told_to_stop_ends_well_and_keeps_everything(tmp_path: Path) -> None:
    data = kernel_file()
    registration = KernelRegistration(kernel_id=kernel_id_of(data))
    with urza_server(tmp_path / "library") as server:
        with UrzaClient(server.url, server.tokens[Role.TRAINER]) as client:
            record = client.deposit(data, registration)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(300) == 0
    with urza_server(tmp_path / "library") as server:
        with UrzaClient(server.url) as client:
            assert client.kernel(kernel_id_of(data)) == record
            assert client.fetch(kernel_id_of(data)) == data
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(300) == 0
    with urza_server(tmp_path / "library") as server:
        for _ in range(2):  # a terminal that closes may say so several times
            server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(300) == 0


def test_secrets_come_from_files_and_are_never_shown(tmp_path: Path) -> None:
    secret = "correct-horse-battery-staple"
    (tmp_path / "url").write_text(f"postgresql://urza:{secret}@127.0.0.1:1/urza\n")
    (tmp_path / "key").write_text(secret)
    settings = {
        "ESPER_URZA_DATABASE_URL_FILE": str(tmp_path / "url"),
        "ESPER_URZA_S3_SECRET_KEY_FILE": str(tmp_path / "key"),
    }
    # With everything that it can say: where the error comes from, too.
    done = esper("--verbose", "urza", "serve", "--port", "0", folder=tmp_path, settings=settings)
    assert done.returncode == 6
    assert "Traceback" in done.stderr
    assert secret not in done.stdout + done.stderr


def test_a_token_s_secret_goes_to_standard_output_alone(tmp_path: Path) -> None:
    words = ("urza", "token", "issue", "me", "--role", "reader", "--days", "1")
    done = esper(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    secret = done.stdout.strip()
    assert secret.startswith("esper_")
    assert secret not in done.stderr
    kept = b"".join(file.read_bytes() for file in (tmp_path / "urza").glob("urza.db*"))
    assert secret.encode() not in kept
    assert secret.split("_")[1].encode() in kept


def test_with_authentication_nothing_is_read_without_a_token(tmp_path: Path) -> None:
    settings = {"ESPER_URZA_AUTH": "token", "ESPER_URZA_MAX_BODY_BYTES": "100000"}
    large = b"x" * 5_000_000
    with urza_server(tmp_path / "library", settings) as server:
        with UrzaClient(server.url) as stranger:
            with pytest.raises(errors.AccessDeniedError):
                stranger.aliases()
            # The refusal arrives although most of the upload was not read.
            with pytest.raises(errors.AccessDeniedError):
                stranger.put_blob(large)
        with UrzaClient(server.url, server.tokens[Role.READER]) as reader:
            assert reader.aliases().items == ()
        with (
            UrzaClient(server.url, server.tokens[Role.TRAINER]) as trainer,
            pytest.raises(errors.SubmissionError, match="100000"),
        ):
            trainer.put_blob(large)


@pytest.fixture
def for_many(tmp_path: Path, postgres_url: str, s3_place: S3Place) -> dict[str, str]:
    """The settings of the operations page: PostgreSQL, S3, authentication, secrets in files."""
    secrets = {
        "DATABASE_URL": postgres_url,
        "S3_ACCESS_KEY": s3_place.access_key,
        "S3_SECRET_KEY": s3_place.secret_key,
    }
    for name, value in secrets.items():
        (tmp_path / name).write_text(f"{value}\n")
    return {
        **{f"ESPER_URZA_{name}_FILE": str(tmp_path / name) for name in secrets},
        "ESPER_URZA_BLOBS": s3_place.url,
        "ESPER_URZA_S3_ENDPOINT": s3_place.endpoint,
        "ESPER_URZA_AUTH": "token",
    }


def test_a_library_for_many_is_set_up_as_the_operations_page_says(
    tmp_path: Path, for_many: dict[str, str]
) -> None:
    unready = esper("urza", "serve", "--port", "0", folder=tmp_path, settings=for_many)
    assert unready.returncode == 6
    assert "esper urza migrate" in unready.stderr
    migrated = esper("urza", "migrate", folder=tmp_path, settings=for_many)
    assert migrated.returncode == 0, migrated.stderr
    data = kernel_file()
    with (
        urza_server(tmp_path / "one", for_many) as one,
        urza_server(tmp_path / "two", for_many) as two,
        UrzaClient(one.url, one.tokens[Role.TRAINER]) as trainer,
        UrzaClient(two.url, two.tokens[Role.ADMIN]) as admin,
    ):
        # Any number of servers over one database and bucket.
        trainer.deposit(data, KernelRegistration(kernel_id=kernel_id_of(data)))
        assert admin.fetch(kernel_id_of(data)) == data
        assert admin.verify_audit() == len(admin.audit().items)
    assert not (tmp_path / "one").exists()
    kept = (tmp_path / "one.log").read_text() + (tmp_path / "two.log").read_text()
    assert not [secret for secret in one.tokens.values() if secret in kept]
