"""The processes of `benchmarks.bus`: publishers and consumers, each run as a process of its own.

`python -m benchmarks.bus_roles ROLE URL PREFIX TOTAL`; a role says in lines of JSON on its standard
output when it is ready, when it began or ended, and what it measured. Times are the machine's
monotonic clock, which all processes share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from esper.contracts.enums import TopicNames
from esper.contracts.messages import OonaMessage
from esper.contracts.ports import Delivery
from esper.contracts.records import RunLine, RunRecords
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.consumer import run_consumer
from esper.services.oona.open import open_bus
from esper.utils.collecting import settle

TOPIC = TopicNames.TELEMETRY_TRAINING
BATCH = 256
RATE = 10_000
TICK = 0.002
"""How often the paced publisher sends what is due."""


def sample(size: int = 1024) -> OonaMessage:
    """A message whose JSON has `size` bytes: points of a training curve."""
    lines = tuple(
        RunLine(
            position=1000 * place,
            body={
                "type": "step",
                "step": 100 * place,
                "train_loss": 0.123456789 * (place + 1),
                "lr": 0.0049999,
                "alpha": {"fc1#0": 0.25, "fc2#0": 0.5},
            },
        )
        for place in range(4)
    )
    records = RunRecords(run_id="0" * 32, attempt=0, lines=lines)
    plain = OonaMessage.of(records, sender_id="tolaria/benchmark", topic=TOPIC)
    missing = size - len(plain.model_dump_json())
    return plain.model_copy(update={"payload": {**plain.payload, "folder": "x" * missing}})


def say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def ours_publish(url: str, prefix: str, total: int) -> None:
    bus = await open_bus(url, OonaConfig(prefix=prefix))
    first = sample()
    batch = [first.model_copy(update={"event_id": f"{number:036}"}) for number in range(BATCH)]
    say(time.monotonic())
    for _ in range(total // BATCH):
        await bus.publish(batch)
    await bus.close()


async def ours_consume(url: str, prefix: str, total: int) -> None:
    bus = await open_bus(url, OonaConfig(prefix=prefix))
    await bus.join([TOPIC], "g", since="0")
    say("ready")
    seen, stop = 0, asyncio.Event()

    async def count(deliveries: Sequence[Delivery]) -> None:
        nonlocal seen
        seen += len(deliveries)
        if seen >= total:
            stop.set()

    await run_consumer(bus, [TOPIC], group="g", consumer="c", handle=count, stop=stop)
    say(time.monotonic())
    await bus.close()


async def bare_publish(url: str, prefix: str, total: int) -> None:
    """Redis-py as it is: the same bytes, pipelined."""
    client = redis.asyncio.Redis.from_url(url, retry=Retry(NoBackoff(), 0))
    data = sample().model_dump_json().encode()
    say(time.monotonic())
    for _ in range(total // BATCH):
        pipeline = client.pipeline(transaction=False)
        for _ in range(BATCH):
            pipeline.xadd(f"{prefix}bare", {"m": data})
        await pipeline.execute()
    await client.aclose()


async def bare_consume(url: str, prefix: str, total: int) -> None:
    """Redis-py as it is: read and acknowledged in the same batches, nothing looked into."""
    client = redis.asyncio.Redis.from_url(url, retry=Retry(NoBackoff(), 0))
    stream = f"{prefix}bare"
    await client.xgroup_create(stream, "g", "0", mkstream=True)
    say("ready")
    seen = 0
    while seen < total:
        found: Any = await client.xreadgroup("g", "c", {stream: ">"}, count=BATCH, block=1000)
        for _, entries in found:
            await client.xack(stream, "g", *(position for position, _ in entries))
            seen += len(entries)
    say(time.monotonic())
    await client.aclose()


async def paced_publish(url: str, prefix: str, total: int) -> None:
    """Publish `RATE` messages a second; each says when it was due."""
    bus = await open_bus(url, OonaConfig(prefix=prefix))
    first, sent = sample(), 0
    started = time.monotonic()
    say(started)
    while sent < total:
        due = min(total, int((time.monotonic() - started) * RATE))
        await bus.publish(
            [
                first.model_copy(update={"event_id": repr(started + number / RATE)})
                for number in range(sent, due)
            ]
        )
        sent = due
        await asyncio.sleep(TICK - (time.monotonic() - started) % TICK)
    await bus.close()


async def paced_consume(url: str, prefix: str, total: int) -> None:
    """Consume, and say how long messages took from when they were due to the consumer's hands."""
    bus = await open_bus(url, OonaConfig(prefix=prefix))
    await bus.join([TOPIC], "g", since="0")
    say("ready")
    taken: list[float] = []
    stop = asyncio.Event()

    async def time_them(deliveries: Sequence[Delivery]) -> None:
        now = time.monotonic()
        taken.extend((now - float(delivery.message.event_id)) * 1000 for delivery in deliveries)
        if len(taken) >= total:
            stop.set()

    await run_consumer(bus, [TOPIC], group="g", consumer="c", handle=time_them, stop=stop)
    # The first second warms up.
    steady = sorted(taken[RATE:])
    say([steady[int(len(steady) * share)] for share in (0.5, 0.99, 0.999)])
    await bus.close()


ROLES = {
    role.__name__: role
    for role in (
        ours_publish,
        ours_consume,
        bare_publish,
        bare_consume,
        paced_publish,
        paced_consume,
    )
}

if __name__ == "__main__":
    name, url, prefix, total = sys.argv[1:]
    # As the platform's services do.
    settle()
    asyncio.run(ROLES[name](url, prefix, int(total)))
