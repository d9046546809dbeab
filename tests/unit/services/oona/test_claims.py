from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from esper.contracts.errors import BusError, BusUnavailableError, ConfigError
from esper.services.oona.bus_config import OonaConfig
from esper.services.oona.claims import Claims, open_store
from support.servers.s3 import S3Place

pytestmark = pytest.mark.asyncio
PLACE = "live/events.seed"


def claims(folder: Path, **settings: int) -> Claims:
    return Claims(OonaConfig(claims=folder.as_uri(), **settings))


def kept(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def age(folder: Path, key: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(folder / key, (then, then))


async def test_what_was_laid_down_is_picked_up(tmp_path: Path) -> None:
    store = claims(tmp_path)
    claim = await store.lay_down(PLACE, b'{"a": 1}')
    assert (claim.size, claim.key) == (8, f"{PLACE}/{claim.digest}")
    assert await store.pick_up(PLACE, claim) == b'{"a": 1}'
    assert await claims(tmp_path).pick_up(PLACE, claim) == b'{"a": 1}'


async def test_a_claim_reaches_only_for_payloads_of_its_own_place(tmp_path: Path) -> None:
    store = claims(tmp_path)
    claim = await store.lay_down("live/control.results", b"{}")
    with pytest.raises(BusError, match="is gone from the object store"):
        await store.pick_up(PLACE, claim)
    (tmp_path / "secret").write_bytes(b"{}")
    with pytest.raises(BusError, match="is gone from the object store"):
        await store.pick_up(PLACE, claim.model_copy(update={"key": "secret"}))


@pytest.mark.parametrize("damage", [b'{"a": 2}', b"", b'{"a": 1}x'])
async def test_a_damaged_payload_is_refused(tmp_path: Path, damage: bytes) -> None:
    store = claims(tmp_path)
    claim = await store.lay_down(PLACE, b'{"a": 1}')
    (tmp_path / claim.key).write_bytes(damage)
    with pytest.raises(BusError, match=r"is damaged|its claim says 8"):
        await store.pick_up(PLACE, claim)


async def test_a_payload_larger_than_allowed_is_not_read(tmp_path: Path) -> None:
    claim = await claims(tmp_path).lay_down(PLACE, b"x" * 100)
    with pytest.raises(BusError, match="has 100 bytes"):
        await claims(tmp_path, largest_bytes=50, claim_bytes=10).pick_up(PLACE, claim)


async def test_payloads_older_than_every_message_of_their_topic_are_removed(tmp_path: Path) -> None:
    store, now = claims(tmp_path), time.time()
    old, young = await store.lay_down(PLACE, b"1"), await store.lay_down(PLACE, b"2")
    other = await store.lay_down("live/events.race", b"3")
    age(tmp_path, old.key, 5000)
    age(tmp_path, young.key, 3000)
    age(tmp_path, other.key, 5000)
    assert await store.clear({PLACE: now - 4000, "live/events.race": now - 6000}) == 1
    assert kept(tmp_path) == sorted([young.key, other.key])


async def test_clocks_may_differ_by_minutes(tmp_path: Path) -> None:
    store = claims(tmp_path)
    claim = await store.lay_down(PLACE, b"1")
    age(tmp_path, claim.key, 200)
    assert await store.clear({PLACE: time.time()}) == 0


async def test_sending_a_payload_again_makes_it_young(tmp_path: Path) -> None:
    store = claims(tmp_path)
    claim = await store.lay_down(PLACE, b"1")
    age(tmp_path, claim.key, 5000)
    await store.lay_down(PLACE, b"1")
    assert await store.clear({PLACE: time.time() - 4000}) == 0


async def test_clearing_what_was_never_used_makes_no_folder(tmp_path: Path) -> None:
    assert await claims(tmp_path / "none").clear({PLACE: time.time()}) == 0
    assert not (tmp_path / "none").exists()


async def test_a_store_that_cannot_be_used_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BusUnavailableError, match="object store for large payloads"):
        await claims(tmp_path / "file" / "below").lay_down(PLACE, b"1")


@pytest.mark.parametrize("url", ["ftp://x/y", "file://host/x", "s3:///x", "claims"])
async def test_a_store_of_no_known_kind_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"OonaConfig\.claims is"):
        open_store(url)


async def test_payloads_may_lie_in_a_bucket(
    s3_place: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_place.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_place.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_place.secret_key)
    store = Claims(OonaConfig(claims=s3_place.url))
    claim = await store.lay_down(PLACE, b"1")
    assert await store.pick_up(PLACE, claim) == b"1"
    assert await store.clear({PLACE: time.time() + 1000}) == 1
