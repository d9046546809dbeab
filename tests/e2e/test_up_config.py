"""`esper up --config` on servers of others: PostgreSQL, S3 and Valkey, all named by one file."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from esper.services.urza.client.urza_client import UrzaClient
from support.platforms import PATIENCE, environment, esper, up
from support.servers.postgres import PASSWORD
from support.servers.s3 import S3Place
from support.servers.valkey import ValkeyServer
from support.urza_server import ESPER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def file(
    tmp_path: Path,
    postgres_url: str,
    s3_place: S3Place,
    valkey_server: ValkeyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    monkeypatch.setenv("PLATFORM_DATABASE_PASSWORD", PASSWORD)
    monkeypatch.setenv("PLATFORM_S3_SECRET", s3_place.secret_key)
    place = urlsplit(postgres_url)
    path = tmp_path / "platform.yaml"
    path.write_text(
        f"""
name: of-others
database:
  host: {place.hostname}
  port: {place.port}
  database: {place.path.removeprefix("/")}
  username: {place.username}
  password: "${{PLATFORM_DATABASE_PASSWORD}}"
redis: {{host: 127.0.0.1, port: {valkey_server.port}}}
storage:
  endpoint_url: {s3_place.endpoint}
  access_key: {s3_place.access_key}
  secret_key: "${{PLATFORM_S3_SECRET}}"
  bucket_name: {s3_place.bucket}
components:
  tezzeret: {{enabled: false}}
  tamiyo: {{replicas: 1}}
"""
    )
    return path


async def tokens_in(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM tokens"))
    finally:
        await connection.close()


def test_a_platform_keeps_its_things_where_the_file_says(
    tmp_path: Path, file: Path, postgres_url: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    refused = esper(home, "up", "--config", str(file))
    assert refused.returncode != 0
    assert "esper urza migrate" in refused.stderr
    subprocess.run(
        [*ESPER, "urza", "migrate"],
        env=environment(home, ESPER_URZA_DATABASE_URL=postgres_url),
        check=True,
        timeout=PATIENCE,
    )
    data = b"kept by others"
    with up(home, "--config", str(file)) as running:
        platform = running.platform()
        assert {record.name for record in platform.services} == {"nissa", "urza"}
        assert "components.tamiyo" in running.log()
        token = Path(platform.token_file).read_text().strip()
        with UrzaClient(platform.urza_url, token) as library:
            assert library.put_blob(data)
            assert library.blob_size(hashlib.sha256(data).hexdigest()) == len(data)
        said = running.log()
    assert asyncio.run(tokens_in(postgres_url)) == 2
    assert not (home / "urza").exists()
    assert not (home / "bus").exists()
    assert PASSWORD not in said
