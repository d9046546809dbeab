"""Both clients, against a real server that answers as it is told."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Iterator

import pytest

from esper.contracts import errors
from esper.contracts.library import GarbageReport, Page
from esper.contracts.ports import BlueprintQueue, KernelLibrary, SignedSource
from esper.execution.error_recovery import ErrorRecoveryManager, RetryConfig
from esper.services.urza.client import calls, core
from esper.services.urza.client.client_config import ClientConfig
from esper.services.urza.client.core import digest_of
from esper.services.urza.client.urza_client import AsyncUrzaClient, UrzaClient
from esper.utils.spans import root_of, within
from support.scripted_http import Reply, ScriptedServer, scripted_server

BUSY = Reply(503, headers={"retry-after": "1"})
REPORT = GarbageReport(blobs=1, bytes=2)
DONE = Reply(200, REPORT.model_dump_json().encode(), {"content-type": "application/json"})
NO_PAGE = Reply(200, Page(items=()).model_dump_json().encode())
DATA = b"kernel bytes"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(server: ScriptedServer, pauses: list[float]) -> Iterator[UrzaClient]:
    with UrzaClient(server.url, "esper_t_secret", recovery=patient(pauses)) as client:
        yield client


def patient(pauses: list[float], retries: int = 3) -> ErrorRecoveryManager:
    async def asleep(seconds: float) -> None:
        pauses.append(seconds)

    return ErrorRecoveryManager(
        retry=RetryConfig(attempts=retries), sleep=pauses.append, asleep=asleep, draw=lambda: 0.0
    )


def test_a_client_is_what_forge_and_trainer_ask_for(client: UrzaClient) -> None:
    assert isinstance(client, BlueprintQueue)
    assert isinstance(client, KernelLibrary)
    assert isinstance(client, SignedSource)


def test_a_request_carries_token_and_key_under_the_prefix(
    client: UrzaClient, server: ScriptedServer
) -> None:
    server.replies += [DONE, NO_PAGE]
    client.collect_garbage(grace_seconds=1)
    client.aliases()
    posted, read = server.received
    assert posted.path == "/api/v1/garbage-collections/"
    assert posted.headers["authorization"] == "Bearer esper_t_secret"
    assert posted.headers["idempotency-key"]
    assert posted.headers["accept-encoding"] == "identity"
    assert "idempotency-key" not in read.headers


def test_a_request_without_a_token_says_none(server: ScriptedServer) -> None:
    server.replies += [NO_PAGE]
    with UrzaClient(server.url) as stranger:
        stranger.aliases()
    assert "authorization" not in server.received[0].headers


def test_a_request_made_within_an_adaptation_says_so(
    client: UrzaClient, server: ScriptedServer
) -> None:
    server.replies += [NO_PAGE, NO_PAGE]
    client.aliases()
    with within(root_of("a" * 32)):
        client.aliases()
    alone, inside = server.received
    assert "traceparent" not in alone.headers
    assert inside.headers["traceparent"] == root_of("a" * 32).header


def test_the_token_is_not_in_the_text_of_a_request(client: UrzaClient) -> None:
    assert "secret" not in repr(client._request(calls.aliases()))


def test_a_keyed_call_is_repeated_with_the_same_key(
    client: UrzaClient, server: ScriptedServer, pauses: list[float]
) -> None:
    server.replies += [BUSY, Reply(hang_up=True), DONE]
    assert client.collect_garbage(grace_seconds=1) == REPORT
    assert len({request.headers["idempotency-key"] for request in server.received}) == 1
    assert len({request.body for request in server.received}) == 1
    assert pauses == [1.0, 0.0]


def test_another_call_has_another_key(client: UrzaClient, server: ScriptedServer) -> None:
    server.replies += [DONE, DONE]
    client.collect_garbage(grace_seconds=1)
    client.collect_garbage(grace_seconds=1)
    assert len({request.headers["idempotency-key"] for request in server.received}) == 2


def test_a_change_that_cannot_be_repeated_safely_is_sent_once(
    client: UrzaClient, server: ScriptedServer
) -> None:
    server.replies += [Reply(hang_up=True)]
    with pytest.raises(errors.LibraryUnavailableError, match="tried once"):
        client.set_alias("a@production", "0" * 64)
    assert len(server.received) == 1
    assert server.received[0].headers["if-none-match"] == "*"


def test_a_library_that_stays_busy_is_given_up_on(
    client: UrzaClient, server: ScriptedServer
) -> None:
    server.replies += [BUSY] * 4
    with pytest.raises(errors.LibraryUnavailableError):
        client.aliases()
    assert len(server.received) == 4


def test_a_library_that_is_not_there_is_named_with_the_remedy() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        client = UrzaClient(url, recovery=patient([], retries=1))
        with pytest.raises(errors.LibraryUnavailableError) as failure, client:
            client.aliases()
    assert url in str(failure.value)
    assert "esper urza serve" in str(failure.value)
    assert "tried 2 times" in str(failure.value)


def test_an_address_that_no_name_server_knows_is_unavailable() -> None:
    client = UrzaClient("http://urza.invalid", retries=0)
    with pytest.raises(errors.LibraryUnavailableError), client:
        client.aliases()


def test_a_redirect_is_not_followed_with_the_token(
    client: UrzaClient, server: ScriptedServer
) -> None:
    server.replies += [Reply(307, headers={"location": f"{server.url}/elsewhere"})]
    with pytest.raises(errors.LibraryError):
        client.aliases()
    assert len(server.received) == 1


def test_a_proxy_for_the_outside_is_not_asked_for_this_machine(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server.replies += [NO_PAGE]
    with UrzaClient(server.url) as client:
        assert client.aliases().items == ()


def test_bytes_that_were_exchanged_on_the_way_are_refused(
    client: UrzaClient, server: ScriptedServer
) -> None:
    server.replies += [Reply(200, DATA), Reply(200, DATA)]
    assert client.fetch(digest_of(DATA)) == DATA
    with pytest.raises(errors.ArtifactError, match="SHA-256"):
        client.fetch(digest_of(b"other"))


def test_a_kernel_that_is_not_there_is_the_port_s_own_error(
    client: UrzaClient, server: ScriptedServer
) -> None:
    server.replies += [Reply(404), Reply(404), Reply(404)]
    with pytest.raises(errors.KernelNotFoundError):
        client.fetch("0" * 64)
    with pytest.raises(errors.KernelNotFoundError):
        client.signatures("0" * 64)
    assert client.blob_size("0" * 64) is None


def test_an_answer_that_is_cut_short_is_asked_for_again(
    client: UrzaClient, server: ScriptedServer
) -> None:
    server.replies += [Reply(200, DATA[:-1], {"content-length": str(len(DATA))}), Reply(200, DATA)]
    with UrzaClient(server.url, timeout=0.3, recovery=patient([])) as impatient:
        assert impatient.fetch(digest_of(DATA)) == DATA


def test_an_answer_beyond_the_limit_is_not_read_to_its_end(server: ScriptedServer) -> None:
    server.replies += [Reply(200, b"x" * 5000)]
    config = ClientConfig(url=server.url, max_bytes=1000)
    with UrzaClient(config=config) as client, pytest.raises(errors.LibraryError, match="max_bytes"):
        client.fetch("0" * 64)


def test_no_lease_is_none(client: UrzaClient, server: ScriptedServer) -> None:
    server.replies += [Reply(204)]
    assert client.lease("w1", seconds=30) is None


def test_a_token_is_asked_for_once_and_without_a_key(
    client: UrzaClient, server: ScriptedServer
) -> None:
    from esper.contracts.enums import Role
    from esper.contracts.library import TokenRequest

    server.replies += [BUSY]
    with pytest.raises(errors.LibraryUnavailableError):
        client.issue_token(TokenRequest(name="ci", roles=(Role.READER,)))
    assert "idempotency-key" not in server.received[0].headers
    assert len(server.received) == 1


def test_a_list_that_comes_in_pages_is_collected_up_to_its_limit() -> None:
    def page(*, cursor: str | None, limit: int) -> Page[int]:
        begin = int(cursor or 0)
        end = min(250, begin + limit)
        return Page(items=tuple(range(begin, end)), next_cursor=str(end) if end < 250 else None)

    assert core.collect(page) == list(range(250))
    assert core.collect(page, 120) == list(range(120))
    assert core.collect(page, 9_999) == list(range(250))


METHODS = sorted(
    name for name, _ in inspect.getmembers(calls, inspect.isfunction) if name[0] != "_"
)


@pytest.mark.parametrize("name", [n for n in METHODS if n != "replace"])
def test_both_clients_have_every_call_as_a_method_with_its_words(name: str) -> None:
    call = getattr(calls, name)
    with UrzaClient("http://127.0.0.1:1") as waiting:
        method = getattr(waiting, name)
    awaited = getattr(AsyncUrzaClient("http://127.0.0.1:1"), name)
    assert inspect.signature(method) == inspect.signature(awaited) == inspect.signature(call)
    assert method.__doc__ == awaited.__doc__ == call.__doc__


@pytest.mark.asyncio
async def test_an_awaited_call_is_repeated_with_the_same_key() -> None:
    pauses: list[float] = []
    with scripted_server() as server:
        server.replies += [BUSY, Reply(hang_up=True), DONE]
        async with AsyncUrzaClient(server.url, recovery=patient(pauses)) as client:
            assert await client.collect_garbage(grace_seconds=1) == REPORT
        assert len({request.headers["idempotency-key"] for request in server.received}) == 1
    assert pauses == [1.0, 0.0]


@pytest.mark.asyncio
async def test_an_awaited_library_that_is_not_there_is_named_with_the_number_of_tries() -> None:
    async with AsyncUrzaClient("http://127.0.0.1:1", recovery=patient([], retries=1)) as client:
        with pytest.raises(errors.LibraryUnavailableError, match="tried 2 times"):
            await client.aliases()


@pytest.mark.asyncio
async def test_awaited_bytes_are_checked_and_what_is_missing_is_the_port_s_own_error() -> None:
    with scripted_server() as server:
        server.replies += [Reply(200, DATA), Reply(200, DATA), Reply(404), Reply(404)]
        async with AsyncUrzaClient(server.url) as client:
            assert await client.fetch(digest_of(DATA)) == DATA
            with pytest.raises(errors.ArtifactError):
                await client.fetch("0" * 64)
            with pytest.raises(errors.KernelNotFoundError):
                await client.fetch("0" * 64)
            assert await client.blob_size("0" * 64) is None


@pytest.mark.asyncio
async def test_an_awaited_answer_beyond_the_limit_is_not_read_to_its_end(
    server: ScriptedServer,
) -> None:
    server.replies += [Reply(200, b"x" * 5000)]
    config = ClientConfig(url=server.url, max_bytes=1000)
    async with AsyncUrzaClient(config=config) as client:
        with pytest.raises(errors.LibraryError, match="max_bytes"):
            await client.fetch("0" * 64)
