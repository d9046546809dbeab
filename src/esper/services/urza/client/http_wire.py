"""How calls are made: paths, bodies, and readers of answers that are records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from esper.contracts.errors import LibraryError, SubmissionError
from esper.contracts.library import KernelRegistration
from esper.services.urza.client.core import Answer, Call

Model = TypeVar("Model", bound=BaseModel)
Result = TypeVar("Result")


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
    body: BaseModel | Mapping[str, object],
    model: type[Model],
    *,
    headers: Mapping[str, str] | None = None,
) -> Call[Model]:
    """Return a call that sends a body and is answered with a record."""
    return posting(path, body, record(model), headers=headers)


def posting(
    path: str,
    body: BaseModel | Mapping[str, object],
    read: Callable[[Answer], Result],
    *,
    headers: Mapping[str, str] | None = None,
) -> Call[Result]:
    """Return a call that sends a body, with an idempotency key."""
    document = body.model_dump(mode="json") if isinstance(body, BaseModel) else body
    return Call(
        method="POST",
        path=path,
        read=read,
        headers={"content-type": "application/json", **(headers or {})},
        content=json_bytes(document),
        keyed=True,
    )


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


def json_bytes(document: object) -> bytes:
    """Return a document as compact JSON."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
