"""Nissa's application over a run store, called without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from esper.services.nissa.nissa_app import create_app
from esper.services.nissa.nissa_config import NissaConfig
from esper.services.nissa.run_store import RunStore
from support.clocks import StillClock

HERE = "http://127.0.0.1:8430"


def nissa_app(runs: RunStore, config: NissaConfig | None = None) -> FastAPI:
    return create_app(runs, config or NissaConfig(), clock=StillClock())


@asynccontextmanager
async def caller(
    runs: RunStore, config: NissaConfig | None = None, *, url: str = HERE
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, under the name that `url` has."""
    # What breaks inside is to come back as an answer, as it would over a network.
    transport = httpx.ASGITransport(nissa_app(runs, config), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=url) as client:
        yield client
