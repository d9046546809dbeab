from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from esper.contracts.errors import ArtifactError
from esper.contracts.library import Signature
from esper.execution.signature_file import (
    MOST_BYTES,
    add_signature,
    read_signatures,
    signature_path,
)

ONE = Signature(key_id="a" * 16, value="0" * 128)
TWO = Signature(key_id="b" * 16, value="1" * 128)


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    path = tmp_path / "my kernel #1.safetensors"
    path.write_bytes(b"")
    return path


def test_a_kernel_without_a_signature_file_has_none(kernel: Path) -> None:
    assert read_signatures(kernel) == ()


def test_signatures_are_kept_once_each_in_order(kernel: Path) -> None:
    for signature in (ONE, TWO, ONE):
        add_signature(kernel, signature)
    assert read_signatures(kernel) == (ONE, TWO)
    assert signature_path(kernel).name == "my kernel #1.safetensors.sig"


def test_signing_at_the_same_time_loses_nothing(kernel: Path) -> None:
    signatures = [Signature(key_id=f"{n:016x}", value="0" * 128) for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: add_signature(kernel, one), signatures))
    assert set(read_signatures(kernel)) == set(signatures)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"signatures": {}}',
        b'{"signatures": [], "more": 1}',
        b'{"signatures": [], "signatures": []}',
        b'{"signatures": [{"key_id": "a"}]}',
        json.dumps({"signatures": [{"key_id": "../a", "value": "0" * 128}]}).encode(),
        json.dumps({"signatures": [{"key_id": "a", "value": "0" * 126}]}).encode(),
        b'{"signatures": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"signatures": [' + b" " * MOST_BYTES + b"]}",
    ],
)
def test_what_is_no_signature_file_is_refused_and_left_as_it_is(kernel: Path, text: bytes) -> None:
    path = signature_path(kernel)
    path.write_bytes(text)
    with pytest.raises(ArtifactError, match=r"\.safetensors\.sig"):
        read_signatures(kernel)
    with pytest.raises(ArtifactError):
        add_signature(kernel, ONE)
    assert path.read_bytes() == text


def test_a_signature_file_that_cannot_be_read_is_an_error(kernel: Path) -> None:
    signature_path(kernel).mkdir()
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_signatures(kernel)
