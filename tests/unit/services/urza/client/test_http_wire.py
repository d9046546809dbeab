from __future__ import annotations

import pytest

from esper.contracts.errors import LibraryError, SubmissionError
from esper.contracts.library import KernelRegistration, Signature
from esper.services.urza.client import http_wire
from esper.services.urza.client.core import Answer


@pytest.mark.parametrize("text", ["", ".", ".."])
def test_a_name_that_would_leave_its_place_in_the_path_is_refused(text: str) -> None:
    with pytest.raises(SubmissionError):
        http_wire.part(text)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("../tokens/", "..%2Ftokens%2F"), ("a@b", "a@b"), ("a?b#c", "a%3Fb%23c"), ("%2e", "%252e")],
)
def test_every_character_of_a_name_stays_within_its_part(text: str, quoted: str) -> None:
    assert http_wire.part(text) == quoted


def test_bytes_cannot_be_registered_as_another_kernel() -> None:
    http_wire.check_digest(b"x", KernelRegistration(kernel_id=http_wire.digest_of(b"x")))
    with pytest.raises(SubmissionError, match="SHA-256"):
        http_wire.check_digest(b"y", KernelRegistration(kernel_id=http_wire.digest_of(b"x")))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key_id": "a", "value": "zz"}'])
def test_an_answer_of_another_form_is_an_error_that_says_what_was_expected(content: bytes) -> None:
    with pytest.raises(LibraryError, match="no Signature"):
        http_wire.record(Signature)(Answer(status=200, headers={}, content=content))
