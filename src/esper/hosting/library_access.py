"""Which library is meant, for whoever is started by a person: a command, or a trainer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from esper.hosting.discovery import find
from esper.services.urza.client.client_config import TOKEN, TOKEN_FILE, URL, ClientConfig
from esper.utils import extras

if TYPE_CHECKING:
    # At run time it needs httpx, which an installation without a library does not have.
    from esper.services.urza.client.urza_client import UrzaClient


def library(url: str | None = None, token: str | None = None) -> UrzaClient:
    """A library that is reached over HTTP: the ports `BlueprintQueue` and `KernelLibrary`.

    Args:
        url: Where it is; default `ESPER_URZA_URL`, or the library of a platform that runs on this
            machine.
        token: What it issued; default `ESPER_URZA_TOKEN`, or what the file holds that
            `ESPER_URZA_TOKEN_FILE` names, or for that platform's library, what it issued itself.

    Raises:
        ConfigError: No address is given, or the client's packages are not installed.
    """
    environ, url = dict(os.environ), url or os.environ.get(URL)
    platform = find()
    if platform is not None and url in {None, platform.urza_url}:
        url = platform.urza_url
        if not (environ.get(TOKEN) or environ.get(TOKEN_FILE)):
            environ[TOKEN_FILE] = platform.token_file  # nobody else is shown this token
    config = ClientConfig.from_environment(environ, url=url, token=token)
    client: UrzaClient = extras.load("esper.services.urza.client.urza_client").UrzaClient(
        config=config
    )
    return client
