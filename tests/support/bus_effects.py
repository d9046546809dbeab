"""A consumer whose effects can be counted: each message adds to an account in SQLite, once.

The effect and the message's event id are written in one transaction, which is how a receiver makes
"at least once" into "exactly once". Run as a process of its own:
`python -m support.bus_effects URL PREFIX CONSUMER DATABASE`.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from esper.contracts.enums import TopicNames
from esper.contracts.ports import Delivery
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.consumer import run_consumer
from esper.services.oona.open import open_bus

TOPIC = TopicNames.EVENTS_SEED
GROUP = "effects"


def fast_config(prefix: str) -> OonaConfig:
    """Times that suit a test: what a dead consumer left is taken over after half a second."""
    return OonaConfig(
        prefix=prefix,
        idle_seconds=0.5,
        longest_backoff_seconds=0.2,
        connect_seconds=1.0,
        answer_seconds=2.0,
        # Killed at random, again and again: what was in hand then is innocent.
        max_tries=50,
    )


def create(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(
            "CREATE TABLE seen (event_id TEXT PRIMARY KEY) WITHOUT ROWID;"
            "CREATE TABLE account (count INTEGER, total INTEGER);"
            "INSERT INTO account VALUES (0, 0);"
        )


class Effects:
    """Carries messages out."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, timeout=300, isolation_level=None)
        # Killed processes lose nothing by it; only a crash of the machine would.
        self._database.execute("PRAGMA synchronous = OFF")

    async def handle(self, deliveries: Sequence[Delivery]) -> None:
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        try:
            for delivery in deliveries:
                done = database.execute(
                    "INSERT OR IGNORE INTO seen VALUES (?)", [delivery.message.event_id]
                )
                if done.rowcount:
                    number = delivery.message.payload["number"]
                    database.execute(
                        "UPDATE account SET count = count + 1, total = total + ?", [number]
                    )
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")

    def close(self) -> None:
        self._database.close()


def account(path: Path) -> tuple[int, int, set[str]]:
    """How many effects there were, what they add up to, and of which messages."""
    with closing(sqlite3.connect(path, timeout=300)) as database:
        count, total = database.execute("SELECT count, total FROM account").fetchone()
        seen = {event_id for (event_id,) in database.execute("SELECT event_id FROM seen")}
    return count, total, seen


async def consume(url: str, prefix: str, consumer: str, path: Path, stop: asyncio.Event) -> None:
    effects = Effects(path)
    bus = await open_bus(url, fast_config(prefix))
    try:
        await run_consumer(
            bus,
            [TOPIC],
            group=GROUP,
            consumer=consumer,
            handle=effects.handle,
            stop=stop,
            config=fast_config(prefix),
        )
    finally:
        await bus.close()
        effects.close()


async def main(url: str, prefix: str, consumer: str, database: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await consume(url, prefix, consumer, Path(database), stop)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
