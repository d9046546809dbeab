"""What the fault tests of the bus do: publish at a pace, keep consumers alive, and settle accounts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from esper.contracts.errors import BusUnavailableError
from esper.contracts.ports import Bus
from esper.services.oona.open import open_bus
from support import forked
from support.bus_effects import GROUP, TOPIC, account, create, fast_config
from support.buses import message

TICK = 0.01
LONGEST_SECONDS = 300.0


class Scenario:
    """A topic on a server, an account of effects, and consumers that may be killed.

    Args:
        url: Of the server, for the consumers.
        folder: Where the account is kept.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.prefix = f"fault-{uuid4().hex}:"
        self.path = folder / "effects.db"
        self.published: set[str] = set()
        """Event ids that the bus took: their publication returned."""
        self.tried: set[str] = set()
        """Event ids that it was given, those with an error included."""
        self._consumers: dict[str, subprocess.Popen[bytes]] = {}
        self._buses: list[Bus] = []
        create(self.path)

    async def open(self, url: str | None = None) -> Bus:
        bus = await open_bus(url or self.url, fast_config(self.prefix))
        self._buses.append(bus)
        return bus

    async def publish(self, bus: Bus, *, rate: int, seconds: float) -> None:
        """Publish `rate` messages a second; what fails is published again until it works."""
        started, sent, total = time.monotonic(), 0, int(rate * seconds)
        while sent < total:
            due = min(total, int((time.monotonic() - started) * rate), sent + 500)
            batch = [message(number) for number in range(sent, due)]
            self.tried |= {each.event_id for each in batch}
            with contextlib.suppress(BusUnavailableError):
                await bus.publish(batch)
                self.published |= {each.event_id for each in batch}
                sent = due
            await asyncio.sleep(TICK)

    def start(self, name: str) -> None:
        """Start a consumer, or start it again under its name."""
        folders = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]
        self._consumers[name] = forked.Popen(
            [
                *(sys.executable, "-m", "support.bus_effects"),
                *(self.url, self.prefix, name, str(self.path)),
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))},
        )

    def kill(self, name: str) -> None:
        process = self._consumers.pop(name)
        process.kill()
        process.wait(300)

    def pause(self, name: str) -> None:
        self._consumers[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        self._consumers[name].send_signal(signal.SIGCONT)

    async def close(self) -> None:
        for name in list(self._consumers):
            self.kill(name)
        for bus in self._buses:
            # The server may have been left dead.
            with contextlib.suppress(BusUnavailableError):
                await bus.close()

    async def grouped(self, bus: Bus) -> None:
        """Wait until the consumers' group is there."""
        until = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(BusUnavailableError):
                if any(lag.group == GROUP for lag in await bus.lag()):
                    return
            await asyncio.sleep(0.1)
        raise AssertionError(f"no group in {LONGEST_SECONDS:.0f} s")

    async def settled(self, bus: Bus) -> None:
        """Wait until everything that was published has had its effect and is acknowledged."""
        until = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(BusUnavailableError):
                lags = [lag for lag in await bus.lag() if lag.group == GROUP]
                if lags and not any(lag.waiting or lag.pending for lag in lags):
                    return
            await asyncio.sleep(0.1)
        raise AssertionError(f"not settled in {LONGEST_SECONDS:.0f} s: {await bus.lag()}")

    async def check(self, bus: Bus) -> None:
        """Every message that the bus took has had its effect, and each effect was once."""
        count, total, seen = account(self.path)
        missing = self.published - seen
        assert not missing, (
            f"{len(missing)} of {len(self.published)} acknowledged messages are lost"
        )
        assert seen <= self.tried
        assert count == len(seen)
        assert total == sum(int(event_id.removeprefix("e")) for event_id in seen)
        assert not await bus.dead(TOPIC)


@asynccontextmanager
async def scenario(url: str, folder: Path) -> AsyncIterator[Scenario]:
    made = Scenario(url, folder)
    try:
        yield made
    finally:
        await made.close()
