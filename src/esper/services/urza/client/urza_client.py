"""UrzaClient and AsyncUrzaClient: a library over HTTP, waited for or awaited.

Both have the methods that `_Methods` lists once, each of them a call of `calls.py`. Calls that may
safely be repeated are, with growing random pauses, while the library is away or busy: reads,
uploads, and what carries an idempotency key. Setting an alias and issuing a token are tried once.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing, closing
from functools import partial, wraps
from itertools import count
from typing import Any, ClassVar, Final, Generic, ParamSpec, Self, TypeVar, overload
from uuid import uuid4

import httpx
from pydantic import TypeAdapter

from esper.contracts.library import KernelQuery, KernelRecord
from esper.execution.error_recovery import KINDS, ErrorRecoveryManager, RetryConfig
from esper.execution.error_tracker import ErrorKind
from esper.services.urza.client import calls, core
from esper.services.urza.client.client_config import ClientConfig
from esper.services.urza.client.core import Answer, Call
from esper.utils.spans import current_traceparent

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

PREFIX: Final = "/api/v1"
FIRST_DELAY: Final = 0.2
"""Seconds before the first further try, at most."""

_PLAIN: Final = TypeAdapter[Any](Any)

KINDS.add(httpx.RequestError, ErrorKind.UNREACHABLE)


class _Method(Generic[Arguments, Result]):
    """A method that sends the call which `make` describes, and returns what is answered."""

    def __init__(self, make: Callable[Arguments, Call[Result]]) -> None:
        self._make = make

    @overload
    def __get__(self, client: None, owner: type) -> Callable[Arguments, Call[Result]]: ...
    @overload
    def __get__(self, client: UrzaClient, owner: type) -> Callable[Arguments, Result]: ...
    @overload
    def __get__(
        self, client: AsyncUrzaClient, owner: type
    ) -> Callable[Arguments, Coroutine[Any, Any, Result]]: ...
    def __get__(self, client: UrzaClient | AsyncUrzaClient | None, owner: type) -> Any:
        if client is None:
            return self._make

        @wraps(self._make)
        def method(*args: Arguments.args, **options: Arguments.kwargs) -> Any:
            return client.send(self._make(*args, **options))

        return method


class _Methods:
    """What a library can be asked for."""

    _transport: ClassVar[Any]
    """What carries requests: httpx's client of either kind."""
    _http: Any

    # The port BlueprintQueue
    lease = _Method(calls.lease)
    renew = _Method(calls.renew)
    complete = _Method(calls.complete)
    fail = _Method(calls.fail)
    # The port KernelLibrary, beside `search`
    fetch = _Method(calls.fetch)
    deposit = _Method(calls.deposit)
    report = _Method(calls.report)
    signatures = _Method(calls.signatures)
    # Blueprints
    submit = _Method(calls.submit)
    blueprint = _Method(calls.blueprint)
    blueprints = _Method(calls.blueprints)
    waiting = _Method(calls.waiting)
    move_blueprint = _Method(calls.move_blueprint)
    # Blobs
    put_blob = _Method(calls.put_blob)
    blob_size = _Method(calls.blob_size)
    # Kernels
    register = _Method(calls.register)
    kernel = _Method(calls.kernel)
    kernels = _Method(calls.kernels)
    move_kernel = _Method(calls.move_kernel)
    sign = _Method(calls.sign)
    lineage = _Method(calls.lineage)
    outcomes = _Method(calls.outcomes)
    # Aliases
    alias = _Method(calls.alias)
    aliases = _Method(calls.aliases)
    set_alias = _Method(calls.set_alias)
    delete_alias = _Method(calls.delete_alias)
    # Keeping the library
    audit = _Method(calls.audit)
    verify_audit = _Method(calls.verify_audit)
    collect_garbage = _Method(calls.collect_garbage)
    issue_token = _Method(calls.issue_token)
    tokens = _Method(calls.tokens)
    revoke_token = _Method(calls.revoke_token)

    def __init__(
        self,
        url: str = "",
        token: str | None = None,
        *,
        timeout: float = 30.0,
        retries: int = 3,
        config: ClientConfig | None = None,
        recovery: ErrorRecoveryManager | None = None,
    ) -> None:
        self.config: Final = config or ClientConfig(
            url=url, token=token, timeout_seconds=timeout, retries=retries
        )
        self._recovery = recovery or ErrorRecoveryManager(
            retry=RetryConfig(attempts=self.config.retries, base_seconds=FIRST_DELAY)
        )
        self._http = self._transport(
            headers=core.common_headers(self.config),
            timeout=self.config.timeout_seconds,
            # A proxy that serves the outside has no way back to this machine.
            trust_env=not self.config.is_loopback,
        )

    def _request(self, call: Call[Any]) -> httpx.Request:
        """Return what goes onto the wire, the same at every try."""
        headers = dict(call.headers)
        if (traceparent := current_traceparent()) is not None:
            headers["traceparent"] = traceparent
        if call.keyed:
            headers["idempotency-key"] = uuid4().hex
        request: httpx.Request = self._http.build_request(
            call.method,
            f"{self.config.url}{PREFIX}{call.path}",
            params=call.params,
            headers=headers,
            content=call.content,
            json=None if call.document is None else _PLAIN.dump_python(call.document, mode="json"),
        )
        return request


class UrzaClient(_Methods):
    """A library at a URL. One object may serve several threads.

    Implements the ports `BlueprintQueue` and `KernelLibrary`.

    Args:
        url: Where the library is, for example `http://127.0.0.1:8420`.
        token: What the library issued; None for what may be read without one.
        timeout: Longest wait for a connection, and between two pieces of an answer, seconds.
        retries: Further tries.
        config: All of it, in place of the others.
        recovery: Tries again; default as often as the configuration says.

    Raises:
        ConfigError: The address is no URL, or the token would travel in the clear.
        LibraryError: From every method; see `errors.py`. LibraryUnavailableError says that trying
            later may help.
    """

    _transport = httpx.Client
    _http: httpx.Client

    def close(self) -> None:
        """Release the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def search(self, query: KernelQuery, *, limit: int) -> Sequence[KernelRecord]:
        """Return the kernels that fit, those with the largest proven gain first."""
        return core.collect(partial(self.kernels, query), limit)

    def send(self, call: Call[Result]) -> Result:
        """Carry out a call, and what comes before it."""
        if call.first is not None:
            self.send(call.first)
        request, tries = self._request(call), count()
        what = f"{call.method} {request.url.copy_with(query=None)}"

        def once() -> Answer:
            next(tries)
            response, content = self._http.send(request, stream=True), bytearray()
            with closing(response):
                for piece in response.iter_bytes():
                    content += piece
                    core.check_size(content, self.config.max_bytes, what)
            headers = response.headers
            answer = Answer(status=response.status_code, headers=headers, content=bytes(content))
            return core.able(answer, what)

        try:
            answer = self._recovery.run(self.config.url, once, again=call.keyed or call.repeatable)
        except httpx.RequestError as error:
            raise core.unreachable(self.config, error, next(tries)) from error
        return core.result_of(call, answer, what)


class AsyncUrzaClient(_Methods):
    """A library at a URL, for code that runs in an event loop. Arguments are those of `UrzaClient`.

    It belongs to the loop in which it is first used.
    """

    _transport = httpx.AsyncClient
    _http: httpx.AsyncClient

    async def close(self) -> None:
        """Release the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def search(self, query: KernelQuery, *, limit: int) -> Sequence[KernelRecord]:
        """Return the kernels that fit, those with the largest proven gain first."""
        found: list[KernelRecord] = []
        cursor = None
        while len(found) < limit:
            more = min(core.PAGE, limit - len(found))
            page = await self.kernels(query, cursor=cursor, limit=more)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        return found[:limit]

    async def send(self, call: Call[Result]) -> Result:
        """Carry out a call, and what comes before it."""
        if call.first is not None:
            await self.send(call.first)
        request, tries = self._request(call), count()
        what = f"{call.method} {request.url.copy_with(query=None)}"

        async def once() -> Answer:
            next(tries)
            response, content = await self._http.send(request, stream=True), bytearray()
            async with aclosing(response):
                async for piece in response.aiter_bytes():
                    content += piece
                    core.check_size(content, self.config.max_bytes, what)
            headers = response.headers
            answer = Answer(status=response.status_code, headers=headers, content=bytes(content))
            return core.able(answer, what)

        try:
            answer = await self._recovery.arun(
                self.config.url, once, again=call.keyed or call.repeatable
            )
        except httpx.RequestError as error:
            raise core.unreachable(self.config, error, next(tries)) from error
        return core.result_of(call, answer, what)
