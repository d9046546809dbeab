from __future__ import annotations

import contextlib
import gzip
import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from esper.contracts.errors import ChecksumError, DataError
from esper.data.fashion_mnist import parse_idx, read_idx


def idx(shape: tuple[int, ...], content: bytes) -> bytes:
    sizes = b"".join(n.to_bytes(4, "big") for n in shape)
    return b"\0\0\x08" + bytes([len(shape)]) + sizes + content


def test_shape_and_bytes_come_back() -> None:
    content = bytes(range(24))
    assert torch.equal(
        parse_idx(idx((2, 3, 4), content), what="x"),
        torch.arange(24, dtype=torch.uint8).reshape(2, 3, 4),
    )


@pytest.mark.parametrize("cut", [0, 3, 8, 15, 17])
def test_truncated_content_is_refused(cut: int) -> None:
    with pytest.raises(DataError, match="somewhere"):
        parse_idx(idx((2, 1), b"ab")[:cut] if cut < 15 else idx((2, 1), b"abc"), what="somewhere")


def test_digest_is_that_of_the_content_whatever_the_compression(tmp_path: Path) -> None:
    raw = idx((4,), b"abcd")
    for level in (1, 9):
        path = tmp_path / f"{level}.gz"
        path.write_bytes(gzip.compress(raw, level))
        assert read_idx(path, sha256=hashlib.sha256(raw).hexdigest()).tolist() == list(b"abcd")
    with pytest.raises(ChecksumError, match="other content"):
        read_idx(path, sha256="0" * 64)


def test_damaged_gzip_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.gz"
    path.write_bytes(gzip.compress(idx((4,), b"abcd"))[:-9])
    with pytest.raises(DataError, match=r"broken\.gz"):
        read_idx(path)


@given(st.binary(max_size=64))
def test_any_bytes_are_parsed_or_refused(content: bytes) -> None:
    with contextlib.suppress(DataError):
        parse_idx(content, what="x")
