"""The client's core: what is sent, and what an answer means. No I/O.

A `Call` describes one request and how its answer is read; `calls.py` makes them, with the functions
at the end of this file. `urza_client.py` carries calls out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from esper.contracts import errors
from esper.contracts.base import visible
from esper.contracts.errors import (
    AccessDeniedError,
    BlueprintError,
    EsperError,
    IllegalTransitionError,
    KernelError,
    KernelNotFoundError,
    LibraryError,
    LibraryNotFoundError,
    LibraryUnavailableError,
    RevisionConflictError,
    SubmissionError,
)
from esper.contracts.library import KernelRegistration, Page
from esper.contracts.version import VERSION
from esper.services.urza.client.client_config import ClientConfig

Model = TypeVar("Model", bound=BaseModel)
Result = TypeVar("Result")
Item = TypeVar("Item")

RETRIED: Final = frozenset({408, 429, 502, 503, 504})
"""Statuses that say: not now."""
PAGE: Final = 100
"""Records in one answer, where nobody says otherwise."""
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
    status: kind
    for kind, statuses in (
        (SubmissionError, {400, 413, 415, 422}),
        (AccessDeniedError, {401, 403}),
        (LibraryNotFoundError, {404}),
        (RevisionConflictError, {409, 412, 428}),
        (LibraryUnavailableError, RETRIED),
    )
    for status in statuses
}
"""What a status means where the answer names no error."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    """HTTP status."""
    headers: Mapping[str, str]
    """Header fields, by their names in lower case."""
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
    document: Any = None
    """The body as JSON: contracts, or mappings with contracts in them."""
    content: bytes | None = None
    """The body as bytes."""
    keyed: bool = False
    """Whether it carries an `Idempotency-Key`, which makes a repetition harmless."""
    repeatable: bool = False
    """Whether a repetition is harmless without one."""
    missing: Callable[[EsperError], Result] | None = None
    """What it means that the library has no such thing: a result, or an error that is raised."""
    first: Call[Any] | None = None
    """What must have been done before."""


def common_headers(config: ClientConfig) -> dict[str, str]:
    """Return what every request to a library carries, the token included."""
    headers = {
        "accept": "application/json, application/problem+json, application/octet-stream",
        # Kernels do not compress, and an answer cannot grow beyond its limit by being unpacked.
        "accept-encoding": "identity",
        "user-agent": f"esper/{VERSION}",
    }
    return (
        headers if config.token is None else headers | {"authorization": f"Bearer {config.token}"}
    )


def able(answer: Answer, what: str) -> Answer:
    """Return an answer that is one.

    Raises:
        LibraryUnavailableError: The library says: not now.
    """
    if answer.status in RETRIED:
        error = refusal(answer, what)
        if isinstance(error, LibraryUnavailableError):
            error.retry_after = _seconds(answer.headers.get("retry-after", ""))
        raise error
    return answer


def result_of(call: Call[Result], answer: Answer, what: str) -> Result:
    """Return what the answer says.

    Raises:
        EsperError: The library refused; the class is the one that the library names.
    """
    if 200 <= answer.status < 300:
        return call.read(answer)
    error = refusal(answer, what)
    if call.missing is not None and isinstance(error, (LibraryNotFoundError, KernelNotFoundError)):
        return call.missing(error)
    raise error


def refusal(answer: Answer, what: str) -> EsperError:
    """Return the error that an answer stands for (RFC 9457, or a bare status)."""
    problem = _problem(answer)
    default = _BY_STATUS.get(answer.status, LibraryError)
    named = _KINDS.get(str(problem.get("code", "")), default)
    kind = default if answer.status in RETRIED else named
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


def check_size(content: bytearray, most: int, what: str) -> None:
    """Refuse to read on beyond the limit.

    Raises:
        LibraryError: So much has come already.
    """
    if len(content) > most:
        raise LibraryError(
            f"{what}: the answer is larger than {most} bytes (max_bytes); nothing of it was kept"
        )


def shown(text: str) -> str:
    """Return text from elsewhere as it may be shown on a terminal: one line, no control codes."""
    return visible(text[:_SHOWN]).strip()


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


# How calls are made ------------------------------------------------------------------------------


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of some bytes in lower-case hexadecimal: a blob's and a kernel's id."""
    return hashlib.sha256(data).hexdigest()


def check_digest(data: bytes, registration: KernelRegistration) -> None:
    """Refuse to upload bytes under another kernel's id.

    Raises:
        SubmissionError: The digests differ.
    """
    found = digest_of(data)
    if found != registration.kernel_id:
        raise SubmissionError(
            f"the bytes have the SHA-256 {found}, but the registration names kernel "
            f"{registration.kernel_id}; register the bytes that are uploaded"
        )


def getting(path: str, model: type[Model], params: tuple[tuple[str, str], ...] = ()) -> Call[Model]:
    """Return a call that reads one record."""
    return Call(method="GET", path=path, read=record(model), params=params, repeatable=True)


def post(
    path: str,
    document: BaseModel | Mapping[str, object],
    model: type[Model],
    *,
    headers: Mapping[str, str] | None = None,
) -> Call[Model]:
    """Return a call that sends a body and is answered with a record."""
    return posting(path, document, record(model), headers=headers)


def posting(
    path: str,
    document: BaseModel | Mapping[str, object],
    read: Callable[[Answer], Result],
    *,
    headers: Mapping[str, str] | None = None,
) -> Call[Result]:
    """Return a call that sends a body, with an idempotency key."""
    return Call(
        method="POST", path=path, read=read, headers=headers or {}, document=document, keyed=True
    )


def collect(page: Callable[..., Page[Item]], limit: int | None = None) -> list[Item]:
    """Return the first records of a list that comes in pages, or all of them.

    Args:
        page: Returns the page that begins at `cursor` and has at most `limit` records.
        limit: Most records; None has no limit.
    """
    found: list[Item] = []
    cursor = None
    while limit is None or len(found) < limit:
        got = page(cursor=cursor, limit=PAGE if limit is None else min(PAGE, limit - len(found)))
        found += got.items
        cursor = got.next_cursor
        if cursor is None:
            break
    return found


def record(model: type[Model]) -> Callable[[Answer], Model]:
    """Return what reads an answer that is one record."""

    def read(answer: Answer) -> Model:
        try:
            return model.model_validate_json(answer.content)
        except ValidationError as problem:
            first = problem.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise LibraryError(
                f"the library's answer is no {model.__name__} ({where:.100}: {first['msg']:.200}); "
                "is the address that of an Urza of the same version?"
            ) from None

    return read


def nothing(_answer: Answer) -> None:
    """Read nothing from an answer."""


def params_of(**values: object) -> tuple[tuple[str, str], ...]:
    """Return the query parameters that are given; those that are None are left out."""
    return tuple((name, str(value)) for name, value in values.items() if value is not None)


def part(text: str) -> str:
    """Return one part of a path: what a caller passes cannot leave it."""
    quoted = quote(text, safe="@")
    if quoted.strip(".") == "":
        raise SubmissionError(f"{text!r} names nothing in a library; give an id or a name")
    return quoted


def if_match(revision: int) -> dict[str, str]:
    """Return the header that makes a change depend on a record's revision."""
    return {"if-match": f'"{revision}"'}
