"""Garbage collections over HTTP."""

from __future__ import annotations

import hashlib

import pytest

from support.urza_app import API, Served

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
