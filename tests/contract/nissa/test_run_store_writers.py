"""Several processes write to one store, and it is read meanwhile; one of them is killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from esper.services.nissa.run_store import RunStore
from support.run_writer import BATCHES, RUNS

pytestmark = pytest.mark.asyncio

TESTS = Path(__file__).parents[2]


async def _writer(url: str, seed: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "support.run_writer",
        url,
        str(seed),
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
    )


async def _said(writer: asyncio.subprocess.Process) -> dict[tuple[str, int], int]:
    """Lines that each batch brought, as far as the writer said so."""
    assert writer.stdout is not None
    said = {}
    async for text in writer.stdout:
        run_id, begin, new = text.split()
        said[run_id.decode(), int(begin)] = int(new)
    await writer.wait()
    return said


async def test_writers_share_a_store_that_is_read_meanwhile(empty_database_url: str) -> None:
    writers = [await _writer(empty_database_url, seed) for seed in range(3)]
    store = await RunStore.open(empty_database_url)
    reading, seen = asyncio.gather(*map(_said, writers)), []
    cursor = -1
    while not reading.done():
        for line in await store.lines(None, after=cursor):
            cursor = line.cursor
            seen.append(cursor)
        await asyncio.sleep(0.01)
    said = await reading
    assert all(len(one) == BATCHES * len(RUNS) for one in said)
    # Each batch was new to one writer, and whoever follows by cursor misses nothing.
    assert all(sum(one[key] for one in said) == 5 for key in said[0])
    seen += [line.cursor for line in await store.lines(None, after=cursor)]
    stored = [line.cursor for run in RUNS for line in await store.lines(run)]
    assert sorted(seen) == sorted(stored)
    assert len(stored) == 5 * BATCHES * len(RUNS)
    await store.close()


async def test_a_writer_that_is_killed_leaves_what_it_was_told_is_stored(
    empty_database_url: str,
) -> None:
    writer = await _writer(empty_database_url, 0)
    assert writer.stdout is not None
    told = [await writer.stdout.readline() for _ in range(20)]
    writer.kill()
    told += [line async for line in writer.stdout]
    await writer.wait()
    store = await RunStore.open(empty_database_url)
    for text in filter(lambda line: line.endswith(b"\n"), told):
        run_id, begin, _ = text.split()
        positions = {line.position for line in await store.lines(run_id.decode())}
        assert {int(begin) + 10 * i for i in range(5)} <= positions
    # Whole batches, or nothing of them.
    for run in RUNS:
        assert len(await store.lines(run)) % 5 == 0
    await store.close()
