"""The run store that a command works on, and the runs that were named."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from esper.contracts.errors import RunNotFoundError
from esper.contracts.runs import RunSummary
from esper.hosting.discovery import find
from esper.services.nissa.backfill import identity_of
from esper.services.nissa.run_store import RunStore

Result = TypeVar("Result")


def with_store(url: str | None, work: Callable[[RunStore], Awaitable[Result]]) -> Result:
    """Open a run store, work on it, and close it.

    Args:
        url: Of the store; None is what `ESPER_RUN_STORE` names, that of the platform that runs on
            this machine, or the user's own.
        work: Given the store.

    Raises:
        RunStoreError: The store cannot be opened.
    """

    async def opened() -> Result:
        store = await RunStore.open(url or _found())
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(opened())


def _found() -> str | None:
    if os.environ.get("ESPER_RUN_STORE"):
        return None
    platform = find()
    return None if platform is None else platform.store_url


async def named_run(store: RunStore, name: str) -> RunSummary:
    """Return the run that a user named: by id, beginning of an id, `newest`, or folder.

    Raises:
        RunFolderError: It is a folder without a run.
        RunNotFoundError: The store has no such run.
    """
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
    return identity_of(folder).run_id if folder.is_dir() else None
