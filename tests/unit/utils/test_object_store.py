from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from esper.utils.object_store import ObjectStore, StoredObject


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "local":
        return ObjectStore.local(tmp_path / "not" / "there" / "yet")
    return ObjectStore(MemoryStore())


def test_what_is_put_is_got(store: ObjectStore) -> None:
    assert store.put_if_absent("a/b", b"123")
    assert store.get("a/b") == b"123"
    assert asyncio.run(store.aget("a/b")) == b"123"
    assert store.size("a/b") == 3


def test_second_put_changes_nothing_and_says_so(store: ObjectStore) -> None:
    store.put_if_absent("a", b"first")
    assert not store.put_if_absent("a", b"second")
    assert store.get("a") == b"first"


def test_absent_object_is_none(store: ObjectStore) -> None:
    assert store.get("nothing") is None
    assert asyncio.run(store.aget("nothing")) is None
    assert store.size("nothing") is None
    asyncio.run(store.adelete("nothing"))


def test_keys_are_listed_in_order_by_prefix(store: ObjectStore) -> None:
    for key in ("b/2", "a/1", "b/1"):
        store.put_if_absent(key, b"")
    assert store.list_keys() == ["a/1", "b/1", "b/2"]
    assert store.list_keys("b") == ["b/1", "b/2"]


def test_replace_and_delete_take_effect(store: ObjectStore) -> None:
    store.put_if_absent("a", b"first")
    store.replace("a", b"second")
    assert store.get("a") == b"second"
    asyncio.run(store.adelete("a"))
    assert store.get("a") is None


def test_an_object_is_streamed_in_parts(store: ObjectStore) -> None:
    async def read(start: int, end: int) -> bytes:
        return b"".join([piece async for piece in store.astream("a", start, end)])

    data = bytes(range(256)) * 10_000
    assert asyncio.run(store.aput_if_absent("a", io.BytesIO(data)))
    assert not asyncio.run(store.aput_if_absent("a", b"other"))
    assert asyncio.run(read(0, len(data))) == data
    assert asyncio.run(read(3, 70_000)) == data[3:70_000]
    assert asyncio.run(read(5, 5)) == b""
    with pytest.raises(FileNotFoundError):
        asyncio.run(_first(store.astream("nothing", 0, 1)))


async def _first(pieces: AsyncIterator[bytes]) -> bytes:
    return await anext(pieces)


def test_objects_are_listed_with_size_and_time(store: ObjectStore) -> None:
    async def listed() -> dict[str, StoredObject]:
        return {entry.key: entry async for entry in store.alist()}

    before = time.time() - 60
    store.put_if_absent("a/b", b"123")
    found = asyncio.run(listed())
    assert found["a/b"].size == 3
    assert before < found["a/b"].modified.timestamp() < time.time() + 60
    asyncio.run(store.adelete("a/b"))
    asyncio.run(store.adelete("a/b"))
    assert asyncio.run(listed()) == {}


def test_what_killed_writes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    store = ObjectStore.local(tmp_path, durable=True)
    asyncio.run(store.aput_if_absent("a/b", b"123"))
    left = tmp_path / "a" / "c#1"
    left.write_bytes(b"half")
    assert store.remove_unfinished(time.time() - 60) == 0
    assert store.remove_unfinished(time.time() + 60) == 1
    assert not left.exists()
    assert store.get("a/b") == b"123"
    assert ObjectStore(MemoryStore()).remove_unfinished(time.time()) == 0
