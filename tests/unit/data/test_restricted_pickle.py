from __future__ import annotations

import contextlib
import os
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esper.contracts.errors import DataError
from esper.data.restricted_pickle import load_plain


class Evil:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_and_containers_come_back(protocol: int, order: Any) -> None:
    images = np.arange(12, dtype=np.uint8).reshape(3, 4).copy(order=order)
    value = {b"data": images, b"labels": [1, 2, 3], b"name": b"batch", "t": (1, "x")}
    read = load_plain(pickle.dumps(value, protocol=protocol), what="x")
    np.testing.assert_array_equal(read[b"data"], images)
    assert read[b"labels"] == [1, 2, 3]
    assert (read[b"name"], read["t"]) == (b"batch", (1, "x"))


def test_strings_of_python_2_come_back_as_bytes() -> None:
    # {'labels': [6], 'data': array([[59]], dtype=uint8)}, as Python 2 wrote it
    written = (
        b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03K\x06aU\x04dataq\x04"
        b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07"
        b"(K\x01K\x01K\x01\x86cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\t"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x01;tbu."
    )
    read = load_plain(written, what="x")
    assert read[b"labels"] == [6]
    assert read[b"data"].tolist() == [[59]]


@pytest.mark.parametrize(
    "value",
    [
        Evil(os.system, "true"),
        Evil(eval, "1"),
        {b"data": Evil(os.getcwd)},
        np.arange(3, dtype=np.int64),
        np.array([os.getcwd], dtype=object),
        Evil(np.frombuffer, b"x"),
    ],
)
def test_anything_but_byte_arrays_and_containers_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match=r"cifar\.bin"):
        load_plain(pickle.dumps(value, protocol=2), what="cifar.bin")


def test_shape_that_does_not_fit_the_bytes_is_refused() -> None:
    good = pickle.dumps(np.zeros((3, 4), dtype=np.uint8), protocol=2)
    with pytest.raises(DataError, match="does not fit"):
        load_plain(good.replace(b"K\x03K\x04\x86", b"K\x03K\x05\x86"), what="x")


@settings(max_examples=300)
@given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_any_changed_byte_is_read_or_refused(position: int, byte: int) -> None:
    value = {b"data": np.arange(24, dtype=np.uint8).reshape(4, 6), b"labels": [0, 1, 2, 3]}
    changed = bytearray(pickle.dumps(value, protocol=2))
    changed[position % len(changed)] = byte
    with contextlib.suppress(DataError):
        load_plain(bytes(changed), what="x")
