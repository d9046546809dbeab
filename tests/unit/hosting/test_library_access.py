from __future__ import annotations

import os
from pathlib import Path

import pytest

from esper.contracts.base import utc_now
from esper.contracts.errors import ConfigError
from esper.contracts.ports import BlueprintQueue, KernelLibrary
from esper.hosting.discovery import Platform, claimed, write
from esper.hosting.library_access import library

HERE = "http://127.0.0.1:8420"


@pytest.fixture(autouse=True)
def _no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ESPER_URZA_URL", "ESPER_URZA_TOKEN", "ESPER_URZA_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_a_library_is_handed_out_as_the_ports_of_forge_and_trainer() -> None:
    with library(HERE) as client:
        assert isinstance(client, BlueprintQueue)
        assert isinstance(client, KernelLibrary)


def test_address_and_token_come_from_the_environment_unless_they_are_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ESPER_URZA_URL", HERE)
    monkeypatch.setenv("ESPER_URZA_TOKEN", "from-environment")
    with library() as client:
        assert (client.config.url, client.config.token) == (HERE, "from-environment")
    with library("http://localhost:1", "given") as client:
        assert (client.config.url, client.config.token) == ("http://localhost:1", "given")


def test_a_library_that_nobody_names_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="--urza URL"):
        library()


def test_the_library_of_a_platform_that_runs_is_used_and_nobody_else_is_shown_its_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ESPER_HOME", str(tmp_path))
    token = tmp_path / "token"
    token.write_text("of-the-platform")
    platform = Platform(
        pid=os.getpid(),
        started_at=utc_now(),
        folder=str(tmp_path),
        bus_url=None,
        store_url=f"sqlite:///{tmp_path}/runs.db",
        urza_url=HERE,
        nissa_url="http://127.0.0.1:8430",
        token_file=str(token),
        services=(),
    )
    with claimed(tmp_path):
        write(tmp_path, platform)
        for url in (None, HERE):
            with library(url) as client:
                assert (client.config.url, client.config.token) == (HERE, "of-the-platform")
        with library("http://localhost:1") as client:
            assert client.config.token is None
        monkeypatch.setenv("ESPER_URZA_TOKEN", "mine")
        with library() as client:
            assert client.config.token == "mine"
