"""Reads from the library: `GET /kernels/{id}` against a bare FastAPI "hello".

Run as `python -m benchmarks.urza_reads` from the repository's root. Each server is a process of
its own, the load generator a third (`benchmarks/http_load.py`), all on this machine's processors.
Rounds alternate between the servers, so that a busy moment hits both. Every read is authenticated;
the rate limit is on, and set higher than what is reached. Prints a table, writes
`docs/benchmarks/urza-reads-<date>.md`, and exits with 1 if a bar is missed: at least 1,000
requests a second, and at least 0.4 of the bare "hello", on the embedded store.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import uvicorn
from fastapi import FastAPI

from benchmarks.results import Result
from esper.blueprints.build import build
from esper.blueprints.ir import GraphIR, Node
from esper.blueprints.tensor_spec import TensorSpec
from esper.contracts.enums import KernelMode, Role
from esper.contracts.library import KernelRegistration, TokenRequest
from esper.execution.artifact import pack
from esper.services.urza.kernel_library import SCHEMA, Library, open_database
from esper.services.urza.urza_app import serve
from esper.services.urza.urza_config import UrzaConfig
from esper.utils.clock import SystemClock
from esper.utils.logging import setup_logging

BAR_REQUESTS = 1000.0
BAR_RATIO = 0.4
KERNELS = 200
CONNECTIONS = 16


@dataclass
class Server:
    """A server under load, and what it did in each round."""

    name: str
    host: str
    port: int
    pid: int
    requests: list[str]
    cpu_us: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    latencies_us: list[float] = field(default_factory=list)

    def round(self, seconds: float) -> None:
        """Load the server for so many seconds, and add what came back."""
        order = {
            "host": self.host,
            "port": self.port,
            "requests": self.requests,
            "connections": CONNECTIONS,
            "seconds": seconds,
        }
        server = psutil.Process(self.pid)
        before = server.cpu_times()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.http_load"],
            input=json.dumps(order),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        answer = json.loads(done.stdout)
        if answer["failures"]:
            raise RuntimeError(f"{self.name}: {answer['failures']} answers were no success")
        after = server.cpu_times()
        spent = after.user + after.system - before.user - before.system
        self.cpu_us.append(spent / answer["answers"] * 1e6)
        self.rates.append(answer["answers"] / answer["seconds"])
        self.latencies_us += answer["latencies_us"]

    def forget(self) -> None:
        """Begin anew: what came so far was to warm up."""
        for figures in (self.rates, self.cpu_us, self.latencies_us):
            figures.clear()

    def percentile_ms(self, share: float) -> float:
        """The latency, in milliseconds, that this share of all answers did not exceed."""
        ordered = sorted(self.latencies_us)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] / 1000


def kernel(seed: int) -> bytes:
    graph = GraphIR(
        {"x": TensorSpec((16,))},
        (
            Node("up", "linear", ("x",), {"out_features": 16}),
            Node("bend", "relu", ("up",)),
            Node("down", "linear", ("bend",), {"out_features": 16}),
        ),
        {"y": "down"},
    )
    return pack(build(graph, seed=seed), graph, KernelMode.REPLACING, blueprint="benchmark")


async def fill(config: UrzaConfig) -> tuple[str, list[str]]:
    """Put kernels into a new library; return a reader's token and the kernels' ids."""
    database = open_database(config)
    await SCHEMA.upgrade(database)
    await database.close()
    library = await Library.open(config, SystemClock())
    try:
        ids = []
        for seed in range(KERNELS):
            data = kernel(seed)
            kernel_id = sha256(data).hexdigest()

            async def chunks(data: bytes = data):  # noqa: ANN202 an async generator of bytes
                yield data

            await library.blobs.put("local", kernel_id, chunks(), len(data))
            await library.kernels.register("local", KernelRegistration(kernel_id=kernel_id))
            ids.append(kernel_id)
        request = TokenRequest(name="benchmark", roles=(Role.READER,))
        return (await library.tokens.issue("local", request)).secret, ids
    finally:
        await library.close()


def get(path: str, token: str | None = None) -> str:
    credentials = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: benchmark\r\n{credentials}\r\n"


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[tuple[str, int, int]]:
    """This script as a server process, which says where it is."""
    child = subprocess.Popen(  # noqa: S603 this very script
        [sys.executable, "-m", "benchmarks.urza_reads", *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    )
    try:
        assert child.stdout is not None
        place = urlsplit(child.stdout.readline().strip())
        yield place.hostname or "", place.port or 0, child.pid
    finally:
        child.terminate()
        child.wait()


def serve_hello() -> None:
    app = FastAPI()

    @app.get("/")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    config = uvicorn.Config(app, port=0, log_level="error", access_log=False, lifespan="off")
    asyncio.run(Hello(config).serve())


class Hello(uvicorn.Server):
    """Says where it listens. Not given a socket: asyncio would leave its delays on then."""

    async def main_loop(self) -> None:
        """Say it, then run."""
        print("http://{}:{}".format(*self.servers[0].sockets[0].getsockname()), flush=True)
        await super().main_loop()


def serve_urza(config_text: str) -> None:
    setup_logging("urza", logging.WARNING)
    serve(UrzaConfig(**json.loads(config_text)), started=lambda url: print(url, flush=True))


def settings(config: UrzaConfig) -> str:
    return json.dumps(
        {
            "database_url": config.database_url,
            "blobs": config.blobs,
            "port": 0,
            "auth": "token",
            "rate_per_second": 1e6,
            "rate_burst": 1_000_000,
        }
    )


def measure(rounds: int, seconds: float, postgres: str | None) -> list[Server]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = [
            Server('bare FastAPI "hello"', *stack.enter_context(running("--hello")), [get("/")])
        ]
        places = {"embedded (SQLite)": UrzaConfig.default(folder)}
        if postgres is not None:
            places["PostgreSQL"] = replace(UrzaConfig.default(folder), database_url=postgres)
        for name, config in places.items():
            token, ids = asyncio.run(fill(config))
            place = stack.enter_context(running("--urza", settings(config)))
            requests = [get(f"/api/v1/kernels/{kernel_id}", token) for kernel_id in ids]
            servers.append(Server(f"Urza, {name}", *place, requests))
        for server in servers:
            server.round(1.0)
            server.forget()
        for _ in range(rounds):
            for server in servers:
                server.round(seconds)
        return servers


def middle(values: Sequence[float], digits: int) -> str:
    """Median and quartiles: a round that another program disturbed does not move them."""
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def publish(servers: list[Server], rounds: int, seconds: float) -> bool:
    hello = servers[0]
    rows, met = [], True
    for server in servers:
        ratios = [a / b for a, b in zip(server.rates, hello.rates, strict=True)]
        effort = [a / b for a, b in zip(server.cpu_us, hello.cpu_us, strict=True)]
        rows.append(
            [
                server.name,
                middle(server.rates, 0),
                middle(ratios, 2),
                f"{server.percentile_ms(0.5):.2f}",
                f"{server.percentile_ms(0.99):.2f}",
                middle(server.cpu_us, 0),
                middle(effort, 2),
            ]
        )
        if server is servers[1]:
            met = statistics.median(server.rates) >= BAR_REQUESTS
            met = met and statistics.median(ratios) >= BAR_RATIO
    set_up = (
        f"{rounds} rounds of {seconds:g} s for each server, in turns; median and quartiles over "
        f"the rounds. {CONNECTIONS} keep-alive connections, one request at a time on each; "
        f"{os.cpu_count()} processors for the servers and the load generator together. The ratio "
        "is that of rounds that stand beside each other; processor time is the server's own. "
        f"Load of the machine, all programs together, over the last minutes: "
        f"{os.getloadavg()[1]:.1f}."
    )
    reads = (
        "Every read of Urza's carries a token, goes through rate limit and counters, and asks for "
        f"another of {KERNELS} kernels. Nothing but the check of the token is remembered between "
        "requests (for 2 s, and no longer than until it is revoked)."
    )
    bars = (
        f"Bars: at least {BAR_REQUESTS:,.0f} requests a second and a ratio of at least "
        f"{BAR_RATIO}, embedded."
    )
    columns = [
        "server",
        "requests/s",
        "ratio to hello",
        "p50 (ms)",
        "p99 (ms)",
        "processor time (µs/request)",
        "its ratio",
    ]
    Result("urza-reads", "Reads from the library", columns, rows, [set_up, reads, bars]).publish()
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure reads from the library.")
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument(
        "--postgres",
        action="store_true",
        help="measure the empty database that ESPER_URZA_DATABASE_URL names, too",
    )
    parser.add_argument("--hello", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--urza", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hello:
        serve_hello()
        return 0
    if options.urza:
        serve_urza(options.urza)
        return 0
    postgres = os.environ["ESPER_URZA_DATABASE_URL"] if options.postgres else None
    servers = measure(options.rounds, options.seconds, postgres)
    met = publish(servers, options.rounds, options.seconds)
    print("bars met" if met else "A BAR IS MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
