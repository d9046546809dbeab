"""The bus: how many messages a second, how long each is on its way, and what the bus itself costs.

Run as `python -m benchmarks.bus` from the repository's root. Starts a Valkey server with an
append-only file (fsync every second), one process that publishes and one that consumes, prints a
table, writes `docs/benchmarks/bus-<date>.md`, and exits with 1 if a bar is missed: 20,000 messages
of 1 KB a second end to end; at 10,000 a second, 99 of 100 arrive within 10 ms; at least 0.6 of what
bare pipelined redis-py does, the two taking turns; 200,000 a second within a process.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from benchmarks import servers
from benchmarks.bus_roles import BATCH, RATE, TOPIC, sample
from benchmarks.results import Result
from esper.services.oona.open import open_bus

MESSAGES = 400 * BATCH
"""Messages of a throughput round: some seconds."""
IN_PROCESS_MESSAGES = 2000 * BATCH
ROUNDS = 3
PACED_SECONDS = 9
LONGEST_SECONDS = 120.0


def pair(what: str, url: str, total: int) -> tuple[float, Any]:
    """Run a publisher and a consumer; return when the one began, and what the other said last."""
    rest = [url, f"bench:{uuid4().hex}:", str(total)]
    module = [sys.executable, "-m", "benchmarks.bus_roles"]
    roles = [f"{what}_consume", f"{what}_publish"]
    started: list[subprocess.Popen[str]] = []
    try:
        for name in roles:
            process = subprocess.Popen(  # noqa: S603  # our own command
                [*module, name, *rest], stdout=subprocess.PIPE, text=True
            )
            started.append(process)
            assert process.stdout is not None
            began = json.loads(process.stdout.readline())
        said, _ = started[0].communicate(timeout=LONGEST_SECONDS)
        started[1].communicate(timeout=LONGEST_SECONDS)
    finally:
        for process in started:
            process.kill()
    return began, json.loads(said)


def per_second(what: str, url: str) -> float:
    began, ended = pair(what, url, MESSAGES)
    return MESSAGES / (ended - began)


async def in_process() -> float:
    bus = await open_bus(None)
    batch = [sample()] * BATCH
    await bus.join([TOPIC], "g")

    async def publish() -> None:
        for _ in range(IN_PROCESS_MESSAGES // BATCH):
            await bus.publish(batch)
            await asyncio.sleep(0)

    began, seen = time.perf_counter(), 0
    publishing = asyncio.create_task(publish())
    while seen < IN_PROCESS_MESSAGES:
        found = await bus.consume([TOPIC], group="g", consumer="c", limit=BATCH)
        await bus.ack(found)
        seen += len(found)
    await publishing
    return IN_PROCESS_MESSAGES / (time.perf_counter() - began)


def measured() -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {name: [] for name in ("ours", "bare", "in_process")}
    delays: list[list[float]] = []
    for _ in range(ROUNDS):
        # They take turns, each with a new server: what one leaves behind is not the other's load.
        for name in ("ours", "bare"):
            with servers.valkey(append_only=True) as url:
                figures[name].append(per_second(name, url))
        with servers.valkey(append_only=True) as url:
            delays.append(pair("paced", url, RATE * PACED_SECONDS)[1])
        figures["in_process"].append(asyncio.run(in_process()))
        print(
            {name: [round(value) for value in values] for name, values in figures.items()}, delays
        )
    figures["ratio"] = [a / b for a, b in zip(figures["ours"], figures["bare"], strict=True)]
    for place, name in enumerate(("p50_ms", "p99_ms", "p999_ms")):
        figures[name] = [delay[place] for delay in delays]
    return figures


LABELS = {
    "ours": ("end to end, messages a second", ",.0f", "≥ 20,000"),
    "bare": ("the same with bare pipelined redis-py", ",.0f", ""),
    "ratio": ("ratio of the two", ".2f", "≥ 0.6"),
    "p50_ms": ("delay at 10,000 a second, median, ms", ".2f", ""),
    "p99_ms": ("delay at 10,000 a second, 99th percentile, ms", ".2f", "< 10"),
    "p999_ms": ("delay at 10,000 a second, 99.9th percentile, ms", ".2f", ""),
    "in_process": ("within a process, messages a second", ",.0f", "≥ 200,000"),
}


COLUMNS = ("what", "median", "from to", "bar")


def row(name: str, values: Sequence[float]) -> list[str]:
    label, form, bar = LABELS[name]
    spread = f"{format(min(values), form)} to {format(max(values), form)}"
    return [label, format(statistics.median(values), form), spread, bar]


def conditions() -> str:
    """How busy the machine was, and what was done about it."""
    said = f"Load average during the run: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    if os.sched_getscheduler(0) == os.SCHED_OTHER:
        return f"{said}, which the server, the publisher and the consumer share."
    return f"{said}, by other work, too; measured at real-time priority (`chrt --rr 1`)."


def main() -> int:
    figures = measured()
    rows = [row(name, figures[name]) for name in LABELS]
    setting = (
        f"Median, smallest and largest of {ROUNDS} rounds. Valkey with an append-only file, fsync "
        f"every second, on the same machine; one process publishes in batches of {BATCH}, one "
        "consumes and acknowledges (`run_consumer`). A message is 1 KB of JSON with its envelope; "
        "the consumer gets it parsed and checked. Bare redis-py sends the same bytes in the same "
        f"batches and looks into nothing. A throughput round has {MESSAGES:,} messages, from the "
        "first publication to the last acknowledgement. The delay counts from when a message was "
        f"due to be published to when the consumer has it, over {PACED_SECONDS - 1} s."
    )
    Result("bus", "Bus: throughput and delay", COLUMNS, rows, [setting, conditions()]).publish()
    middle = {name: statistics.median(values) for name, values in figures.items()}
    met = (
        middle["ours"] >= 20_000
        and middle["ratio"] >= 0.6
        and middle["p99_ms"] < 10
        and middle["in_process"] >= 200_000
    )
    print("bars met" if met else "A BAR IS MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
