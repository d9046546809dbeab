"""The client's core: what is sent, what an answer means, whether to try again. No I/O.

A `Call` describes one request and how its answer is read; `calls.py` makes them. The two clients,
`sync.py` and `async_.py`, carry calls out and hold nothing but the loop around this file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from esper.contracts import errors
from esper.contracts.errors import (
    AccessDeniedError,
    BlueprintError,
    EsperError,
    IllegalTransitionError,
    KernelError,
    LibraryError,
    LibraryNotFoundError,
    LibraryUnavailableError,
    RevisionConflictError,
    SubmissionError,
)
from esper.contracts.version import VERSION
from esper.services.urza.client.client_config import ClientConfig
from esper.utils.spans import current_traceparent

Result = TypeVar("Result")

PREFIX: Final = "/api/v1"
RETRIED: Final = frozenset({408, 429, 502, 503, 504})
"""Statuses that say: not now."""
FIRST_DELAY: Final = 0.2
"""Seconds before the first further try, at most."""
LONGEST_DELAY: Final = 10.0
"""Seconds before any further try, at most; a library that asks for more is not waited for."""
_SHOWN: Final = 2000
"""Characters of an answer's text that an error repeats."""

_ROOTS: Final = (LibraryError, KernelError, BlueprintError, IllegalTransitionError)
_KINDS: Final[Mapping[str, type[EsperError]]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, _ROOTS)
}
"""Errors that a library may name in a problem's `code`."""
_BY_STATUS: Final[Mapping[int, type[EsperError]]] = {
    400: SubmissionError,
    401: AccessDeniedError,
    403: AccessDeniedError,
    404: LibraryNotFoundError,
    408: LibraryUnavailableError,
    409: RevisionConflictError,
    412: RevisionConflictError,
    413: SubmissionError,
    415: SubmissionError,
    422: SubmissionError,
    428: RevisionConflictError,
    429: LibraryUnavailableError,
    502: LibraryUnavailableError,
    503: LibraryUnavailableError,
    504: LibraryUnavailableError,
}
"""What a status means where the answer names no error."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    """HTTP status."""
    headers: Mapping[str, str]
    """Header fields; names in lower case."""
    content: bytes
    """The body."""


@dataclass(frozen=True, kw_only=True)
class Call(Generic[Result]):
    """One request, and how its answer is read."""

    method: str
    """HTTP method."""
    path: str
    """Path below `/api/v1`; each part is quoted already."""
    read: Callable[[Answer], Result]
    """Makes the result of a successful answer."""
    params: tuple[tuple[str, str], ...] = ()
    """Query parameters; a name may stand more than once."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Header fields of its own."""
    content: bytes | None = None
    """The body."""
    keyed: bool = False
    """Whether it carries an `Idempotency-Key`, which makes a repetition harmless."""
    repeatable: bool = False
    """Whether a repetition is harmless without one."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A call addressed to one library: what goes onto the wire, the same at every try."""

    method: str
    """HTTP method."""
    url: str
    """Where to."""
    params: tuple[tuple[str, str], ...]
    """Query parameters."""
    headers: Mapping[str, str] = field(repr=False)
    """Header fields, the token among them."""
    content: bytes | None = field(repr=False)
    """The body."""


def request_of(call: Call[Result], config: ClientConfig, key: str) -> Request:
    """Address a call to a library; `key` becomes its `Idempotency-Key` if it carries one."""
    headers = {
        "accept": "application/json, application/problem+json, application/octet-stream",
        # Kernels do not compress, and an answer cannot grow beyond its limit by being unpacked.
        "accept-encoding": "identity",
        "user-agent": f"esper/{VERSION}",
        **call.headers,
    }
    traceparent = current_traceparent()
    if traceparent is not None:
        headers["traceparent"] = traceparent
    if config.token is not None:
        headers["authorization"] = f"Bearer {config.token}"
    if call.keyed:
        headers["idempotency-key"] = key
    return Request(
        method=call.method,
        url=f"{config.url}{PREFIX}{call.path}",
        params=call.params,
        headers=headers,
        content=call.content,
    )


def result_of(call: Call[Result], answer: Answer, request: Request) -> Result:
    """Return what the answer says.

    Raises:
        EsperError: The library refused; the class is the one that the library names.
    """
    if 200 <= answer.status < 300:
        return call.read(answer)
    raise refusal(answer, f"{request.method} {request.url}")


def delay_before_retry(
    call: Call[Result],
    config: ClientConfig,
    *,
    tries: int,
    answer: Answer | None,
    draw: Callable[[], float],
) -> float | None:
    """Return how many seconds to wait before the next try; None if there is none.

    Exponential backoff with full jitter (Brooker 2015, "Exponential backoff and jitter"): many
    clients that failed together do not come back together.

    Args:
        call: What is tried.
        config: How often.
        tries: Tries so far, 1 or more.
        answer: What came back; None if nothing did.
        draw: Returns a random number in [0, 1).
    """
    if tries > config.retries or not (call.keyed or call.repeatable):
        return None
    if answer is not None and answer.status not in RETRIED:
        return None
    asked = _seconds(answer.headers.get("retry-after", "")) if answer is not None else 0.0
    if asked > LONGEST_DELAY:
        return None
    ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (tries - 1))
    return asked + draw() * ceiling


def refusal(answer: Answer, what: str) -> EsperError:
    """Return the error that an answer stands for (RFC 9457, or a bare status)."""
    problem = _problem(answer)
    default = _BY_STATUS.get(answer.status, LibraryError)
    kind = _KINDS.get(str(problem.get("code", "")), default)
    detail = shown(str(problem.get("detail") or problem.get("title") or ""))
    if detail:
        # Whoever keeps the library finds the cause under it, in the library's log.
        instance = shown(str(problem.get("instance") or "")) if answer.status >= 500 else ""
        return kind(f"{detail} ({what}: {answer.status}{instance and f', {instance}'})")
    media = shown(answer.headers.get("content-type", "no content type"))
    return kind(
        f"{what} was answered with {answer.status} and {media}, which is not how a library "
        "refuses; is the address right, and is there a proxy in between?"
    )


def unreachable(config: ClientConfig, error: Exception, tries: int) -> LibraryUnavailableError:
    """Return the error for a library that gives no answer."""
    times = "once" if tries == 1 else f"{tries} times"
    return LibraryUnavailableError(
        f"the library at {config.url} gave no answer ({type(error).__name__}: "
        f"{shown(str(error)) or 'no details'}; tried {times}). Is it running (`esper urza serve`), "
        "and is the address right (--urza, ESPER_URZA_URL)?"
    )


def too_large(config: ClientConfig, request: Request) -> LibraryError:
    """Return the error for an answer beyond the limit."""
    return LibraryError(
        f"{request.method} {request.url}: the answer is larger than {config.max_bytes} bytes "
        "(max_bytes); nothing of it was kept"
    )


def shown(text: str) -> str:
    """Return text from elsewhere as it may be shown on a terminal: one line, no control codes."""
    return "".join(c if c.isprintable() else " " for c in text[:_SHOWN]).strip()


def _problem(answer: Answer) -> dict[str, object]:
    if "json" not in answer.headers.get("content-type", ""):
        return {}
    try:
        document = json.loads(answer.content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _seconds(text: str) -> float:
    """Return a `Retry-After` in seconds; 0 for a date, which Urza never sends."""
    return float(text) if text.isdecimal() and len(text) < 10 else 0.0
