"""Field reports over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from esper.contracts.enums import AdaptationOutcome, Role
from esper.contracts.library import KernelOutcome
from esper.contracts.operational import FieldReport
from support.urza_app import API, KERNEL_ID, Served

PATH = f"{API}/field-reports/"


def _outcome(report_id: str) -> dict[str, Any]:
    report = FieldReport(
        step=10,
        layer_name="fc",
        blueprint="mlp/small",
        outcome=AdaptationOutcome.FOSSILIZED,
        gain=0.5,
    )
    outcome = KernelOutcome(report_id=report_id, run_id="run-1", kernel_id=KERNEL_ID, report=report)
    return outcome.model_dump(mode="json")


@pytest.mark.asyncio
async def test_a_report_is_kept_once_and_counts_for_its_kernel(urza: Served) -> None:
    await urza.kernel()
    statuses = [
        (await urza.call("POST", PATH, role=Role.TRAINER, json=_outcome("r1"))).status_code
        for _ in range(2)
    ]
    assert statuses == [201, 200]
    kernel = (await urza.call("GET", f"{API}/kernels/{KERNEL_ID}")).json()
    assert (kernel["field_reports"], kernel["proven_gain"]) == (1, 0.5)
    reports = (await urza.call("GET", f"{API}/kernels/{KERNEL_ID}/field-reports")).json()
    assert [item["report_id"] for item in reports["items"]] == ["r1"]


@pytest.mark.asyncio
async def test_a_report_about_nothing_is_refused(urza: Served) -> None:
    response = await urza.call("POST", PATH, json=_outcome("r1"))
    assert (response.status_code, response.json()["code"]) == (404, "KernelNotFoundError")
