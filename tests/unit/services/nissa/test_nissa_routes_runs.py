"""Runs over HTTP say what the store says."""

from __future__ import annotations

import pytest

from esper.contracts.runs import Curve, RunSummary, StoredLine
from esper.services.nissa.run_store import RunStore
from support import logged_runs
from support.nissa_app import caller
from support.run_deliveries import delivery, read

API = "/api/v1"


@pytest.mark.asyncio
async def test_a_run_is_told_as_the_store_has_it(runs: RunStore) -> None:
    await runs.append(read([delivery(logged_runs.lines())]))
    async with caller(runs) as client:
        (listed,) = (await client.get(f"{API}/runs")).json()
        assert RunSummary.model_validate(listed) == await runs.run("run-1")
        for name in ("run-1", "run", "newest"):
            assert (await client.get(f"{API}/runs/{name}")).json() == listed
        got = (await client.get(f"{API}/runs/newest/lines", params={"type": "step"})).json()
        wanted = await runs.lines("run-1", types=["step"])
        assert [StoredLine.model_validate(line) for line in got] == list(wanted)
        after = {"after": wanted[0].cursor, "type": ["step", "end"], "limit": 2}
        got = (await client.get(f"{API}/runs/run-1/lines", params=after)).json()
        assert [line["body"]["type"] for line in got] == ["step", "step"]
        assert (await client.get(f"{API}/runs/run-1/impacts")).json() == [
            impact.model_dump(mode="json") for impact in await runs.impacts("run-1")
        ]


@pytest.mark.asyncio
async def test_curves_have_names_with_slashes_and_no_nan(runs: RunStore) -> None:
    await runs.append(read([delivery(logged_runs.lines())]))
    async with caller(runs) as client:
        names = (await client.get(f"{API}/runs/run-1/curves")).json()
        assert names == list(await runs.curve_names("run-1"))
        layer = next(name for name in names if name.startswith("health/"))
        for name in ("train_loss", layer):
            got = (await client.get(f"{API}/runs/run-1/curves/{name}")).json()
            assert Curve.model_validate(got) == await runs.curve("run-1", name)
        assert None in (await client.get(f"{API}/runs/run-1/curves/train_loss")).json()["values"]


@pytest.mark.asyncio
async def test_a_run_that_is_not_there_is_a_problem(runs: RunStore) -> None:
    async with caller(runs) as client:
        for path in ("", "/lines", "/curves", "/curves/lr", "/impacts"):
            answer = await client.get(f"{API}/runs/nobody{path}")
            assert answer.status_code == 404, path
            assert answer.json()["code"] == "RunNotFoundError"


@pytest.mark.asyncio
async def test_a_kernel_nobody_used_has_no_history(runs: RunStore) -> None:
    async with caller(runs) as client:
        assert (await client.get(f"{API}/kernels/{'a' * 64}/history")).json() == []
        assert (await client.get(f"{API}/kernels/abc/history")).status_code == 422
