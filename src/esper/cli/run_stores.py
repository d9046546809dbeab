"""The run store that a command works on, and the runs that were named."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from esper.cli.lazy import later
from esper.contracts.errors import RunNotFoundError, RunStoreError
from esper.contracts.runs import RunSummary
from esper.hosting.discovery import find

with later():
    from esper.services.nissa import backfill, nissa_config, run_store

_SQLITE = "sqlite:///"


@asynccontextmanager
async def open_store(url: str | None, *, make: bool = False) -> AsyncIterator[run_store.RunStore]:
    """Open the run store that is meant, closed at the end of the block.

    Args:
        url: Of the store; None is what `ESPER_RUN_STORE` names, that of the platform that runs on
            this machine, or the user's own.
        make: Make the store if it is not there; who only reads makes none.

    Raises:
        RunStoreError: It is not there, or cannot be reached.
    """
    address = _address(url)
    if not make and (file := _missing(address)) is not None:
        raise RunStoreError(
            f"there is no run store at {file}: it is made when a run is trained, or taken in with "
            "`esper runs import FOLDER`"
        )
    store = await run_store.RunStore.open(address)
    try:
        yield store
    finally:
        await store.close()


def has_none_yet(url: str | None) -> bool:
    """Whether the user's own store is meant, and has not been made yet."""
    is_named = url is not None or bool(os.environ.get("ESPER_RUN_STORE")) or find() is not None
    return not is_named and _missing(nissa_config.default_url()) is not None


def _address(url: str | None) -> str:
    if url is None and not os.environ.get("ESPER_RUN_STORE") and (platform := find()) is not None:
        return platform.store_url
    return url or nissa_config.default_url()


def _missing(address: str) -> Path | None:
    """The file of a store that is not there."""
    file = Path(address.removeprefix(_SQLITE))
    return file if address.startswith(_SQLITE) and not file.exists() else None


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
