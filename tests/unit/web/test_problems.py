"""Problems: every error has its status, its own words, and nothing that is not the caller's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from esper.contracts import errors
from esper.web import problems
from esper.web.problems import MEDIA_TYPE, Problem


def _request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw})


def _body(response: Response) -> dict[str, Any]:
    assert response.media_type == MEDIA_TYPE
    body: dict[str, Any] = json.loads(bytes(response.body))
    assert Problem.model_validate(body).status == response.status_code
    return body


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.LibraryNotFoundError, 404),
        (errors.KernelNotFoundError, 404),
        (errors.LeaseLostError, 409),
        (errors.IllegalTransitionError, 409),
        (errors.RevisionConflictError, 409),
        (errors.AccessDeniedError, 403),
        (errors.SubmissionError, 422),
        (errors.GeometryError, 422),
        (errors.ArtifactError, 422),
        (errors.LibraryUnavailableError, 503),
        (errors.LibraryError, 500),
    ],
)
async def test_an_error_has_its_status_and_its_name(
    error: type[errors.EsperError], status: int
) -> None:
    body = _body(await problems.on_esper_error(_request(), error("what failed; what to do")))
    assert body["status"] == status
    assert body["code"] == error.__name__
    assert body["detail"] == "what failed; what to do"
    assert body["type"].startswith("urn:esper:problem:")
    assert body["instance"].startswith("urn:uuid:")


@pytest.mark.asyncio
@pytest.mark.parametrize("header", ["if_match", "if_none_match"])
async def test_a_conflict_is_a_failed_precondition_where_there_was_one(header: str) -> None:
    error = errors.RevisionConflictError("it changed")
    body = _body(await problems.on_esper_error(_request(**{header: '"1"'}), error))
    assert body["status"] == 412


@pytest.mark.asyncio
async def test_who_should_try_later_is_told_when() -> None:
    error = errors.LibraryUnavailableError("busy")
    response = await problems.on_esper_error(_request(), error)
    assert int(response.headers["retry-after"]) >= 1


@pytest.mark.asyncio
async def test_an_error_that_the_tree_does_not_have_goes_by_its_ancestor() -> None:
    class OutOfPaper(errors.SubmissionError):
        """Local to this test."""

    body = _body(await problems.on_esper_error(_request(), OutOfPaper("no paper")))
    assert (body["status"], body["code"]) == (422, "SubmissionError")


@pytest.mark.asyncio
async def test_a_defect_tells_its_number_and_nothing_else() -> None:
    for handler, error in (
        (problems.on_unexpected, ValueError("postgresql://user:secret@host")),
        (problems.on_esper_error, errors.ConfigError("secret in /some/file")),
    ):
        body = _body(await handler(_request(), error))
        assert body["status"] == 500
        assert "secret" not in json.dumps(body)


@pytest.mark.asyncio
async def test_the_servers_own_refusals_keep_their_headers() -> None:
    refusal = HTTPException(416, "outside", {"Content-Range": "bytes */9"})
    response = await problems.on_http_exception(_request(), refusal)
    assert _body(response)["type"] == "urn:esper:problem:requested-range-not-satisfiable"
    assert response.headers["content-range"] == "bytes */9"


@pytest.mark.parametrize("name", [n for n in vars(errors) if n.endswith("Error")])
def test_every_error_of_the_tree_has_a_status_that_says_error(name: str) -> None:
    error = getattr(errors, name)("words")
    assert problems.status_of(error, conditional=True) >= 400
