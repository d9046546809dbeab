"""The audit log over HTTP."""

from __future__ import annotations

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
