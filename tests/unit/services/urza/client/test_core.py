from __future__ import annotations

import json

import pytest

from esper.contracts import errors
from esper.contracts.library import KernelRegistration, Signature
from esper.services.urza.client import core
from esper.services.urza.client.core import Answer


def problem(status: int, **fields: object) -> Answer:
    return Answer(
        status=status,
        headers={"content-type": "application/problem+json"},
        content=json.dumps(fields).encode(),
    )


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "LibraryNotFoundError", errors.LibraryNotFoundError),
        (409, "LeaseLostError", errors.LeaseLostError),
        (409, "IllegalTransitionError", errors.IllegalTransitionError),
        (409, "RevisionConflictError", errors.RevisionConflictError),
        (422, "ArtifactError", errors.ArtifactError),
        (422, "BlueprintError", errors.BlueprintError),
        (401, "", errors.AccessDeniedError),
        (403, "", errors.AccessDeniedError),
        (412, "", errors.RevisionConflictError),
        (428, "", errors.RevisionConflictError),
        (413, "", errors.SubmissionError),
        (429, "", errors.LibraryUnavailableError),
        (503, "", errors.LibraryUnavailableError),
        (500, "", errors.LibraryError),
        (418, "SystemExit", errors.LibraryError),
        (404, "ConfigError", errors.LibraryNotFoundError),
    ],
)
def test_a_problem_becomes_the_error_that_it_names(
    status: int, code: str, kind: type[errors.EsperError]
) -> None:
    error = core.refusal(problem(status, code=code, detail="no such thing"), "GET x")
    assert type(error) is kind
    assert "no such thing" in str(error)
    assert str(status) in str(error)


def test_a_defect_of_the_library_is_told_with_the_number_to_look_up() -> None:
    failed = problem(500, detail="the library failed", instance="urn:uuid:1234")
    assert "urn:uuid:1234" in str(core.refusal(failed, "GET x"))
    refused = problem(404, detail="no such thing", instance="urn:uuid:1234")
    assert "urn:uuid" not in str(core.refusal(refused, "GET x"))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=502, headers={"content-type": "text/html"}, content=b"<html>"),
        Answer(status=502, headers={}, content=b""),
        Answer(status=502, headers={"content-type": "application/json"}, content=b"[1"),
        Answer(status=502, headers={"content-type": "application/json"}, content=b"[1]"),
        Answer(status=502, headers={"content-type": "application/json"}, content=b"[" * 100_000),
    ],
)
def test_an_answer_that_no_library_gives_is_said_to_be_one(answer: Answer) -> None:
    error = core.refusal(answer, "GET x")
    assert isinstance(error, errors.LibraryUnavailableError)
    assert "proxy" in str(error)


def test_text_from_the_library_cannot_steer_the_terminal() -> None:
    error = core.refusal(problem(404, detail="a\x1b[2Jb\nc" + "x" * 9999), "GET x")
    assert "\x1b" not in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 3000


def test_a_status_that_says_not_now_is_no_answer() -> None:
    for status in core.RETRIED:
        with pytest.raises(errors.LibraryUnavailableError) as refused:
            core.able(problem(status, code="SubmissionError"), "GET x")
        assert refused.value.retry_after == 0.0


@pytest.mark.parametrize("status", [200, 201, 204, 400, 401, 403, 404, 409, 412, 422, 428, 500])
def test_an_answer_that_would_be_the_same_again_is_one(status: int) -> None:
    answer = Answer(status=status, headers={}, content=b"")
    assert core.able(answer, "GET x") is answer


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("2", 2.0),
        ("0", 0.0),
        *((text, 0.0) for text in ("Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1e9", "²", "9" * 500)),
    ],
)
def test_a_pause_that_the_library_asks_for_is_read_and_one_that_cannot_be_is_none(
    asked: str, seconds: float
) -> None:
    busy = Answer(status=429, headers={"retry-after": asked}, content=b"")
    with pytest.raises(errors.LibraryUnavailableError) as refused:
        core.able(busy, "GET x")
    assert refused.value.retry_after == seconds


@pytest.mark.parametrize("text", ["", ".", ".."])
def test_a_name_that_would_leave_its_place_in_the_path_is_refused(text: str) -> None:
    with pytest.raises(errors.SubmissionError):
        core.part(text)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("../tokens/", "..%2Ftokens%2F"), ("a@b", "a@b"), ("a?b#c", "a%3Fb%23c"), ("%2e", "%252e")],
)
def test_every_character_of_a_name_stays_within_its_part(text: str, quoted: str) -> None:
    assert core.part(text) == quoted


def test_bytes_cannot_be_registered_as_another_kernel() -> None:
    core.check_digest(b"x", KernelRegistration(kernel_id=core.digest_of(b"x")))
    with pytest.raises(errors.SubmissionError, match="SHA-256"):
        core.check_digest(b"y", KernelRegistration(kernel_id=core.digest_of(b"x")))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key_id": "a", "value": "zz"}'])
def test_an_answer_of_another_form_is_an_error_that_says_what_was_expected(content: bytes) -> None:
    with pytest.raises(errors.LibraryError, match="no Signature"):
        core.record(Signature)(Answer(status=200, headers={}, content=content))
