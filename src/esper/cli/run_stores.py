"""The run store that a command works on, and the runs that were named."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from esper.cli.lazy import later
from esper.contracts.errors import RunNotFoundError, RunStoreError
from esper.contracts.runs import RunSummary
from esper.hosting.discovery import find

with later():
    from esper.services.nissa import backfill, nissa_config, run_store

_SQLITE = "sqlite:///"

Result = TypeVar("Result")


def with_store(
    url: str | None,
    work: Callable[[run_store.RunStore], Awaitable[Result]],
    *,
    make: bool = False,
    missing: Result | None = None,
) -> Result:
    """Open the run store that is meant, work on it, and close it.

    Args:
        url: Of the store; None is what `ESPER_RUN_STORE` names, that of the platform that runs on
            this machine, or the user's own.
        work: Given the store.
        make: Make the store if it is not there; who only reads makes none.
        missing: What the work comes to while the user has no store yet.
    """
    named = url is not None or bool(os.environ.get("ESPER_RUN_STORE"))
    if not named and (platform := find()) is not None:
        url, named = platform.store_url, True
    address = url or nissa_config.default_url()
    file = Path(address.removeprefix(_SQLITE))
    if address.startswith(_SQLITE) and not make and not file.exists():
        if missing is not None and not named:
            return missing
        raise RunStoreError(
            f"there is no run store at {file}: it is made when a run is trained, or taken in with "
            "`esper runs import FOLDER`"
        )

    async def opened() -> Result:
        store = await run_store.RunStore.open(url)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(opened())


async def named(store: run_store.RunStore, name: str) -> RunSummary:
    """The run that a user named: by id, beginning of an id, `newest`, or folder."""
    run_id = _run_in(Path(name))
    if run_id is None:
        return await store.run(name)
    try:
        return await store.run(run_id)
    except RunNotFoundError as error:
        raise RunNotFoundError(
            f"the run in {name} is not in the run store: `esper runs import {name}` takes it in"
        ) from error


def _run_in(folder: Path) -> str | None:
    return backfill.identity_of(folder).run_id if folder.is_dir() else None
