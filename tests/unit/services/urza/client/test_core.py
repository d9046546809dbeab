from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esper.contracts import errors
from esper.services.urza.client import core
from esper.services.urza.client.client_config import ClientConfig
from esper.services.urza.client.core import Answer, Call
from esper.utils.spans import root_of, within

HERE = ClientConfig(url="http://127.0.0.1:8420", token="esper_t_secret", retries=3)


def call(*, keyed: bool = False, repeatable: bool = False) -> Call[bytes]:
    return Call(
        method="POST",
        path="/kernels/",
        read=lambda answer: answer.content,
        keyed=keyed,
        repeatable=repeatable,
    )


def problem(status: int, **fields: object) -> Answer:
    return Answer(
        status=status,
        headers={"content-type": "application/problem+json"},
        content=json.dumps(fields).encode(),
    )


def test_a_request_carries_token_and_key_under_the_prefix() -> None:
    request = core.request_of(call(keyed=True), HERE, "abc")
    assert request.url == "http://127.0.0.1:8420/api/v1/kernels/"
    assert request.headers["authorization"] == "Bearer esper_t_secret"
    assert request.headers["idempotency-key"] == "abc"


def test_a_request_without_token_or_key_has_neither_header() -> None:
    request = core.request_of(call(), ClientConfig(url="http://u"), "abc")
    assert {"authorization", "idempotency-key"}.isdisjoint(request.headers)


def test_a_request_made_within_an_adaptation_says_so() -> None:
    assert "traceparent" not in core.request_of(call(), HERE, "abc").headers
    with within(root_of("a" * 32)):
        request = core.request_of(call(), HERE, "abc")
    assert request.headers["traceparent"] == root_of("a" * 32).header


def test_the_token_is_not_in_the_text_of_a_request() -> None:
    assert "secret" not in repr(core.request_of(call(), HERE, "abc"))


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


def waits(which: Call[bytes], answer: Answer | None, *, draw: float = 1.0) -> list[float]:
    pauses = []
    for tries in range(1, 10):
        pause = core.delay_before_retry(which, HERE, tries=tries, answer=answer, draw=lambda: draw)
        if pause is None:
            return pauses
        pauses.append(pause)
    raise AssertionError("it never gives up")


BUSY = Answer(status=503, headers={}, content=b"")


@pytest.mark.parametrize("answer", [None, BUSY])
def test_what_is_repeatable_is_tried_again_with_growing_pauses(answer: Answer | None) -> None:
    pauses = waits(call(repeatable=True), answer)
    assert len(pauses) == HERE.retries
    assert pauses == sorted(pauses)
    assert pauses == waits(call(keyed=True), answer)


def test_what_may_have_happened_and_would_happen_twice_is_tried_once() -> None:
    assert waits(call(), None) == waits(call(), BUSY) == []


@pytest.mark.parametrize("status", [200, 201, 204, 400, 401, 403, 404, 409, 412, 422, 428, 500])
def test_an_answer_that_would_be_the_same_again_is_final(status: int) -> None:
    assert waits(call(repeatable=True), Answer(status=status, headers={}, content=b"")) == []


@given(draw=st.floats(0, 1, exclude_max=True), tries=st.integers(1, 50))
def test_pauses_stay_within_their_bounds(draw: float, tries: int) -> None:
    config = ClientConfig(url="http://u", retries=100)
    pause = core.delay_before_retry(
        call(keyed=True), config, tries=tries, answer=None, draw=lambda: draw
    )
    assert pause is not None
    assert 0 <= pause <= core.LONGEST_DELAY


@pytest.mark.parametrize("asked", ["2", "0"])
def test_a_library_that_names_a_pause_gets_it(asked: str) -> None:
    busy = Answer(status=429, headers={"retry-after": asked}, content=b"")
    assert waits(call(repeatable=True), busy, draw=0.0) == [float(asked)] * HERE.retries


def test_a_library_that_asks_for_too_long_a_pause_is_not_waited_for() -> None:
    busy = Answer(status=503, headers={"retry-after": "3600"}, content=b"")
    assert waits(call(repeatable=True), busy) == []


def test_a_pause_that_cannot_be_read_counts_as_none() -> None:
    for asked in ("Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1e9", "²", "9" * 500):
        busy = Answer(status=503, headers={"retry-after": asked}, content=b"")
        assert waits(call(repeatable=True), busy, draw=0.0) == [0.0] * HERE.retries
