"""A process that writes a run's lines into a store, batch by batch: `run_writer.py URL SEED`.

Prints a line after every batch that the store has taken in.
"""

from __future__ import annotations

import asyncio
import random
import sys

from esper.services.nissa.run_store import RunStore
from support import logged_runs
from support.run_deliveries import delivery, read

BATCHES = 40
RUNS = ("run-1", "run-2")


def batches(run_id: str) -> list[tuple[int, list[logged_runs.Line]]]:
    """All batches of a run, each with the position of its first line."""
    return [
        (50 * number, [logged_runs.step(5 * number + i, 1.0 + number) for i in range(5)])
        for number in range(BATCHES)
    ]


async def _main(url: str, seed: int) -> None:
    store = await RunStore.open(url)
    todo = [(run_id, *batch) for run_id in RUNS for batch in batches(run_id)]
    random.Random(seed).shuffle(todo)
    for run_id, begin, lines in todo:
        new = await store.append(read([delivery(lines, run_id=run_id, begin=begin)]))
        print(run_id, begin, len(new), flush=True)  # noqa: T201 the test reads it
    await store.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
