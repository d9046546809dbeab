"""Every state of a connection has an end; the clock is the test's, the sockets are real."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from esper.web.connections import ConnectionLimits, Guarded
from esper.web.draining import Draining, DrainingServer

LIMITS = ConnectionLimits(most=3)
HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
WHOLE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"


class OnH11(Guarded, H11Protocol):
    """With the parser that is always there."""


class OnHttpTools(Guarded, HttpToolsProtocol):  # type: ignore[misc]  # two parsers, one at a time
    """With the quick one."""


class App:
    """Reads the whole body, waits until it may, and answers."""

    def __init__(self) -> None:
        self.asked, self.may_answer, self.left = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.may_answer.set()
        self.answer = b"hello"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.set()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.set()
                return
            more = message.get("more_body", False)
        await self.may_answer.wait()
        size = str(len(self.answer)).encode()
        head = {"type": "http.response.start", "status": 200}
        await send({**head, "headers": [(b"content-length", size)]})
        await send({"type": "http.response.body", "body": self.answer})


@pytest.fixture(params=[OnH11, OnHttpTools])
def protocol(request: pytest.FixtureRequest) -> type[asyncio.Protocol]:
    found: type[asyncio.Protocol] = request.param
    return found


async def until(met: Callable[[], bool]) -> None:
    """Let the loop turn until something is so; nothing tells when bytes have arrived."""
    while not met():  # noqa: ASYNC110 no event of uvicorn's tells it
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def running(app: App, protocol: type[asyncio.Protocol]) -> AsyncIterator[Any]:
    url = asyncio.get_running_loop().create_future()
    server = DrainingServer(
        app,
        Draining(),
        name="test",
        host="127.0.0.1",
        port=0,
        drain_seconds=1,
        started=url.set_result,
        limits=LIMITS,
    )
    server.config.http = protocol
    task = asyncio.create_task(server.serve())
    port = int((await url).rpartition(":")[2])

    def sweep(seconds: float) -> None:
        server.server_state.sweep(asyncio.get_running_loop().time() + seconds, 1.0)

    async def connect(words: bytes = b"") -> Any:
        count = len(server.server_state.connections)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(words)
        await until(lambda: len(server.server_state.connections) > min(count, LIMITS.most - 1))
        return SimpleNamespace(reader=reader, writer=writer, read=reader.read)

    async def received(count: int) -> None:
        """Wait until the server has so many bytes of the one connection."""
        await until(lambda: any(c._received >= count for c in server.server_state.connections))

    try:
        yield SimpleNamespace(server=server, sweep=sweep, connect=connect, received=received)
    finally:
        app.may_answer.set()
        server.stop()
        server.stop()
        await task


async def rest(caller: Any) -> bytes:
    try:
        return bytes(await caller.read())
    except ConnectionResetError:
        return b""
    finally:
        caller.writer.close()


@pytest.mark.asyncio
async def test_who_sends_half_a_head_is_told_so_and_hung_up_on(protocol: Any) -> None:
    async with running(App(), protocol) as it:
        caller = await it.connect(HALF_A_HEAD)
        await it.received(len(HALF_A_HEAD))
        it.sweep(9)
        caller.writer.write(b"dripping")
        await it.received(len(HALF_A_HEAD) + 8)
        it.sweep(11)
        assert (await rest(caller)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.asyncio
async def test_who_connects_and_says_nothing_is_hung_up_on(protocol: Any) -> None:
    async with running(App(), protocol) as it:
        caller = await it.connect()
        it.sweep(11)
        assert await rest(caller) == b""


@pytest.mark.asyncio
async def test_a_second_request_s_head_has_its_own_time(protocol: Any) -> None:
    async with running(App(), protocol) as it:
        caller = await it.connect(WHOLE)
        assert (await caller.reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        it.sweep(60)
        caller.writer.write(HALF_A_HEAD)
        await it.received(len(HALF_A_HEAD))
        it.sweep(9)
        it.sweep(11)
        assert (await rest(caller)).startswith(b"HTTP/1.1 408 ")


@pytest.mark.asyncio
async def test_a_head_that_does_not_end_is_refused(protocol: Any) -> None:
    async with running(App(), protocol) as it:
        caller = await it.connect(HALF_A_HEAD)
        caller.writer.write(b"x" * 100_000)
        # The parser's own limit may come first.
        assert (await rest(caller)).startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 ", b""))
        assert {*it.server.server_state.closed} <= {"large_head", "malformed"}


@pytest.mark.asyncio
async def test_a_body_that_pauses_or_drips_ends_the_request(protocol: Any) -> None:
    app = App()
    async with running(app, protocol) as it:
        caller = await it.connect(POST)
        await app.asked.wait()
        it.sweep(29)
        assert not app.left.is_set()
        it.sweep(31)
        assert await rest(caller) == b""
        await app.left.wait()


@pytest.mark.asyncio
async def test_a_body_must_come_at_a_rate_but_may_be_long(protocol: Any) -> None:
    app = App()
    async with running(app, protocol) as it:
        caller = await it.connect(POST)
        await app.asked.wait()
        caller.writer.write(b"x" * 10_240)
        await it.received(10_240)
        (connection,) = it.server.server_state.connections
        connection.heard += 100  # it goes on sending
        it.sweep(29)
        assert not app.left.is_set()
        it.sweep(31)
        assert await rest(caller) == b""
        await app.left.wait()


@pytest.mark.asyncio
async def test_an_answer_may_take_as_long_as_it_likes(protocol: Any) -> None:
    app = App()
    app.may_answer.clear()
    async with running(app, protocol) as it:
        caller = await it.connect(WHOLE)
        await app.asked.wait()
        it.sweep(10_000)
        app.may_answer.set()
        assert (await caller.reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        caller.writer.close()


@pytest.mark.asyncio
async def test_who_does_not_read_the_answer_is_hung_up_on(protocol: Any) -> None:
    app = App()
    app.answer = bytes(2**25)
    async with running(app, protocol) as it:
        caller = await it.connect(WHOLE)
        caller.writer.transport.pause_reading()
        (connection,) = it.server.server_state.connections
        await until(lambda: connection.transport.get_write_buffer_size() > 0)
        it.sweep(0)
        it.sweep(31)
        await until(lambda: not it.server.server_state.connections)
        caller.writer.transport.abort()


@pytest.mark.asyncio
async def test_at_the_cap_a_new_caller_takes_the_place_of_who_waited_longest(protocol: Any) -> None:
    async with running(App(), protocol) as it:
        first, *others = [await it.connect(HALF_A_HEAD) for _ in range(LIMITS.most)]
        new = await it.connect(WHOLE)
        assert (await new.reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
        assert await rest(first) == b""
        assert not any(other.reader.at_eof() for other in others)
        for caller in (*others, new):
            caller.writer.close()


@pytest.mark.asyncio
async def test_where_all_are_at_work_a_new_caller_is_told_to_come_again(protocol: Any) -> None:
    app = App()
    app.may_answer.clear()
    async with running(app, protocol) as it:
        busy = []
        for _ in range(LIMITS.most):
            app.asked.clear()
            busy.append(await it.connect(WHOLE))
            await app.asked.wait()
        answer = await rest(await it.connect(WHOLE))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1" in answer
        app.may_answer.set()
        for caller in busy:
            assert (await caller.reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")
            caller.writer.close()


@pytest.mark.asyncio
async def test_the_log_says_so_in_one_line_a_minute(
    protocol: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(App(), protocol) as it:
        for _ in range(3):
            caller = await it.connect(b"this is no HTTP\r\n\r\n")
            assert (await rest(caller)).startswith(b"HTTP/1.1 400 ")
        now = asyncio.get_running_loop().time()
        it.server.server_state.sweep(now, 1.0)
        it.server.server_state.closed["malformed"] += 1
        it.server.server_state.sweep(now + 59, 1.0)
    written = "".join(capsys.readouterr())
    (said,) = [line for line in written.splitlines() if "connections closed" in line]
    assert "malformed=3" in said
    assert "Invalid HTTP" not in written


def test_the_cap_leaves_files_for_everything_else() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert ConnectionLimits().most_now == 192
        assert ConnectionLimits(most=10).most_now == 10
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
