"""A load generator for one HTTP server: keep-alive connections, each with one request at a time.

Run as a process of its own, so that it does not share an interpreter with what it measures:
`python -m benchmarks.http_load` reads a JSON object from standard input (host, port, requests as
text, connections, seconds) and prints one (answers, seconds, latencies in microseconds). It
understands as much HTTP as the answers need that it is made for: a status, a Content-Length.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any


@dataclass
class Tally:
    """What came back."""

    latencies_us: list[float] = field(default_factory=list)
    failures: int = 0


async def connection(
    host: str, port: int, requests: list[bytes], until: float, tally: Tally
) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for request in cycle(requests):
            started = time.perf_counter()
            if started >= until:
                return
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            lowered = head.lower()
            at = lowered.index(b"content-length:") + 15
            length = int(lowered[at : lowered.index(b"\r\n", at)])
            await reader.readexactly(length)
            tally.latencies_us.append((time.perf_counter() - started) * 1e6)
            tally.failures += not head.startswith(b"HTTP/1.1 200")
    finally:
        writer.close()
        await writer.wait_closed()


async def load(order: dict[str, Any]) -> Tally:
    requests = [text.encode() for text in order["requests"]]
    tally, until = Tally(), time.perf_counter() + order["seconds"]
    count = order["connections"]
    # Each begins at another request, so that not all ask for the same at once.
    turned = [requests[n % len(requests) :] + requests[: n % len(requests)] for n in range(count)]
    await asyncio.gather(
        *(connection(order["host"], order["port"], each, until, tally) for each in turned)
    )
    return tally


def main() -> None:
    order = json.load(sys.stdin)
    started = time.perf_counter()
    tally = asyncio.run(load(order))
    seconds = time.perf_counter() - started
    answer = {
        "answers": len(tally.latencies_us),
        "failures": tally.failures,
        "seconds": seconds,
        "latencies_us": sorted(tally.latencies_us),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
