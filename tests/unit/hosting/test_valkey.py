from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from esper.hosting import valkey
from esper.hosting.probes import redis_question
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
