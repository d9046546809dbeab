"""One library behind a real server process, and a client of either kind for any role."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from esper.contracts.enums import Role
from esper.services.urza.client.urza_client import AsyncUrzaClient, UrzaClient
from support.urza_server import As, UrzaServer, urza_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UrzaServer]:
    with urza_server(tmp_path_factory.mktemp("urza") / "library") as server:
        yield server


class Blocking:
    """An awaited client whose methods are waited for, so that one suite fits both kinds."""

    def __init__(self, client: AsyncUrzaClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._client, name)
        if not callable(value):
            return value
        return lambda *args, **kwargs: self._runner.run(value(*args, **kwargs))


@pytest.fixture(params=["waiting", "awaited"])
def as_role(request: pytest.FixtureRequest, server: UrzaServer) -> Iterator[As]:
    """Makes clients of one kind; None is somebody without a token."""
    made: list[Any] = []
    with asyncio.Runner() as runner:

        def client(role: Role | None) -> UrzaClient:
            token = None if role is None else server.tokens[role]
            if request.param == "waiting":
                made.append(UrzaClient(server.url, token))
            else:
                made.append(Blocking(AsyncUrzaClient(server.url, token), runner))
            return cast("UrzaClient", made[-1])

        yield client
        for one in made:
            one.close()
