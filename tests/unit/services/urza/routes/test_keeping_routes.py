"""A keeper's part of a library over HTTP; tokens are in `tests/integration/urza/test_commands.py`."""

from __future__ import annotations

import hashlib

import pytest

from esper.contracts.enums import Role
from support.urza_app import API, Served


@pytest.mark.asyncio
async def test_a_change_is_in_the_log_with_whose_token_it_was(urza: Served) -> None:
    await urza.kernel()
    entries, cursor = [], None
    while True:
        params = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await urza.call("GET", f"{API}/audit/", params=params)).json()
        entries += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[-1]["action"] == "kernel.register"
    token_id = urza.secrets[Role.ADMIN].split("_")[1]
    assert entries[-1]["actor"] == f"admin/{token_id}"
    checked = await urza.call("GET", f"{API}/audit/verification")
    assert checked.json() == {"entries": len(entries)}


PATH = f"{API}/garbage-collections/"


@pytest.mark.asyncio
async def test_only_what_nobody_needs_goes_and_only_when_it_is_meant(urza: Served) -> None:
    kernel_id = await urza.kernel()
    data = b"nobody needs this"
    stray = f"{API}/blobs/{hashlib.sha256(data).hexdigest()}"
    await urza.call("PUT", stray, content=data)
    young = await urza.call("POST", PATH, json={})
    assert young.json() == {"blobs": 0, "bytes": 0}
    counted = await urza.call("POST", PATH, json={"grace_seconds": 0, "dry_run": True})
    assert counted.json() == {"blobs": 1, "bytes": len(data)}
    assert (await urza.call("HEAD", stray)).status_code == 200
    collected = await urza.call("POST", PATH, json={"grace_seconds": 0})
    assert collected.json() == {"blobs": 1, "bytes": len(data)}
    assert (await urza.call("HEAD", stray)).status_code == 404
    assert (await urza.call("HEAD", f"{API}/blobs/{kernel_id}")).status_code == 200
