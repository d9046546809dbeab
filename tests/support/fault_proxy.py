"""A TCP proxy on loopback that a test can make slow, cut in the middle of an answer, or silent.

Stands between a client and a real server, in a thread of its own. What a switch changes holds for
connections that are open, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"
_PIECE = 4096


class FaultProxy:
    """Forwards to a port of this machine.

    Args:
        target: The server's port.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.delay_seconds = 0.0
        """How long every piece of up to 4 KB is held up, in both directions."""
        self.silent = False
        """Whether everything is swallowed, with the connections open: a black hole."""
        self.refusing = False
        """Whether connections are closed as soon as they are opened."""
        self.cut_after: int | None = None
        """Bytes of answers after which a connection is cut, in the middle of whatever it says."""
        self.cuts = 0
        """How often that happened."""
        self.forwarded = 0
        """Bytes of answers."""
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def url(self, database: int = 0) -> str:
        return f"redis://{HOST}:{self.port}/{database}"

    def cut_all(self) -> None:
        """Cut every connection that is open."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(300)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(300)
        assert not self._thread.is_alive()

    def _abort_all(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        self._abort_all()
        # Python 3.11 does not wait for handlers: they end with their connections.
        await asyncio.sleep(0.05)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            if self.refusing:
                return
            answers, far = await asyncio.open_connection(HOST, self.target)
            self._open.add(far)
            asking = asyncio.create_task(self._forward(reader, far, answering=False))
            answering = asyncio.create_task(self._forward(answers, writer, answering=True))
            await asyncio.wait([asking, answering], return_when=asyncio.FIRST_COMPLETED)
            asking.cancel()
            answering.cancel()
            await asyncio.gather(asking, answering, return_exceptions=True)
        except OSError:
            # The server is down: so is the connection.
            return
        finally:
            for each in (writer, far):
                if each is not None:
                    self._open.discard(each)
                    each.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answering: bool
    ) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := await reader.read(_PIECE):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if self.silent:
                    continue
                if answering:
                    passed += len(data)
                    self.forwarded += len(data)
                    if self.cut_after is not None and passed > self.cut_after:
                        # Half of the last piece still gets through.
                        writer.write(data[: len(data) // 2])
                        await writer.drain()
                        self.cuts += 1
                        return
                writer.write(data)
                await writer.drain()


@contextmanager
def fault_proxy(target: int) -> Iterator[FaultProxy]:
    """Run a proxy within a `with` block."""
    proxy = FaultProxy(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()
