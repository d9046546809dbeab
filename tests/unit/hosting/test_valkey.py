from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
import redis

from esper.hosting import valkey
from esper.hosting.service import redis_question
from support.hosted import until
from support.servers.server import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / 'a "strange" folder'


def test_the_server_starts_with_its_settings_and_asks_for_its_password(folder: Path) -> None:
    assert valkey.is_installed()
    port = free_port()
    command, url = valkey.prepare(folder, "127.0.0.1", port)
    assert stat.S_IMODE((folder / "valkey.conf").stat().st_mode) == 0o600
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            until(redis_question(url))
            assert not redis_question(f"redis://127.0.0.1:{port}/0")()
            assert not redis_question(f"redis://:wrong@127.0.0.1:{port}/0")()
            assert any((folder / "appendonlydir").iterdir())
        finally:
            server.terminate()


def test_the_password_stays_from_start_to_start(folder: Path) -> None:
    _, first = valkey.prepare(folder, "127.0.0.1", 8450)
    _, second = valkey.prepare(folder, "127.0.0.1", 8450)
    assert first == second
    assert (folder / "password").read_text() in first


@pytest.mark.parametrize("damage", ["values", "manifest"])
def test_a_damaged_append_only_file_is_set_aside_and_the_server_starts(
    folder: Path, damage: str
) -> None:
    port = free_port()
    command, url = valkey.prepare(folder, "127.0.0.1", port)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        until(redis_question(url))
        with redis.Redis.from_url(url) as client:
            for number in range(50):
                client.set(f"key{number}", "value" * 10)
        server.terminate()
    kept = folder / "appendonlydir"
    name = "*.incr.aof" if damage == "values" else "*.manifest"
    (file,) = kept.glob(name)
    content = file.read_bytes()
    file.write_bytes(b"\xff" * 40 + content[40:])
    done = subprocess.run(command, capture_output=True, errors="replace", check=False)
    assert done.returncode == 1
    said = valkey.set_aside_damaged(folder, done.stdout)
    assert said is not None
    assert "esper runs import" in said
    assert "\n" not in said
    (aside,) = folder.glob("appendonlydir.damaged-*")
    assert str(aside) in said
    assert not kept.exists()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        until(redis_question(url))
        server.terminate()


def test_what_is_not_damaged_stays(folder: Path) -> None:
    kept = folder / "appendonlydir"
    kept.mkdir(parents=True)
    assert valkey.set_aside_damaged(folder, "Could not create server TCP listening socket") is None
    assert kept.exists()
