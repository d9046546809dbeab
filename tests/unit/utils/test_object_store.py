from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from esper.utils.object_store import ObjectStore


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "local":
        return ObjectStore.local(tmp_path / "not" / "there" / "yet")
    return ObjectStore.memory()


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
    store.delete("nothing")


def test_keys_are_listed_in_order_by_prefix(store: ObjectStore) -> None:
    for key in ("b/2", "a/1", "b/1"):
        store.put_if_absent(key, b"")
    assert store.list_keys() == ["a/1", "b/1", "b/2"]
    assert store.list_keys("b") == ["b/1", "b/2"]


def test_replace_and_delete_take_effect(store: ObjectStore) -> None:
    store.put_if_absent("a", b"first")
    store.replace("a", b"second")
    assert store.get("a") == b"second"
    store.delete("a")
    assert store.get("a") is None
