"""What is sent to a library belongs to the adaptation that it tells of."""

from __future__ import annotations

from pathlib import Path

import pytest

from esper.contracts.enums import AdaptationOutcome
from esper.contracts.growth import CostAccount, GrowthDecision, GrowthReport
from esper.contracts.library import KernelOutcome
from esper.contracts.operational import FieldReport
from esper.services.tolaria.outbox import deliver
from esper.utils.spans import current_traceparent, root_of, trace_id_of
from support.memory_library import MemoryLibrary

KERNEL = "b" * 64


class AskingLibrary(MemoryLibrary):
    """Notes which span each report belongs to."""

    def __init__(self) -> None:
        super().__init__()
        self.parents: list[str | None] = []

    def report(self, outcome: KernelOutcome) -> None:
        self.parents.append(current_traceparent())


def _decision(step: int, verdict: str) -> GrowthDecision:
    return GrowthDecision(step=step, verdict=verdict, candidate=None, evidence=None, reason="so")


def _leave(folder: Path, step: int) -> None:
    """A report of step `step` in the outbox of a run with three adaptations."""
    decisions = [
        _decision(150, "graft"),
        _decision(180, "fossilise"),
        _decision(300, "decline"),
        _decision(400, "graft"),
        _decision(450, "cull"),
    ]
    grown = GrowthReport(
        steps=500,
        total_steps=500,
        curve=(),
        races=(),
        decisions=tuple(decisions),
        cost=CostAccount(host=1.0, shadow=0.0, evaluation=0.0, static=1.0),
        parameters_before=1,
        parameters_after=1,
        before=(),
        after=(),
        summary="",
    )
    (folder / "report.json").write_text(grown.model_dump_json())
    report = FieldReport(
        step=step, layer_name="0", blueprint="glu/small", outcome=AdaptationOutcome.FOSSILIZED
    )
    outcome = KernelOutcome(report_id="r-1", run_id="run-1", kernel_id=KERNEL, report=report)
    reports = folder / "outbox" / "reports"
    reports.mkdir(parents=True)
    (reports / "r-1.json").write_text(outcome.model_dump_json())


@pytest.mark.parametrize(("step", "adaptation"), [(150, 0), (180, 0), (300, 1), (400, 2), (450, 2)])
def test_a_report_goes_out_under_its_adaptations_root(
    tmp_path: Path, step: int, adaptation: int
) -> None:
    _leave(tmp_path, step)
    library = AskingLibrary()
    assert deliver(tmp_path, library).reports == 1
    assert library.parents == [root_of(trace_id_of("run-1", adaptation)).header]
    assert current_traceparent() is None


def test_without_the_growth_report_it_goes_out_all_the_same(tmp_path: Path) -> None:
    _leave(tmp_path, 180)
    (tmp_path / "report.json").unlink()
    library = AskingLibrary()
    assert deliver(tmp_path, library).reports == 1
    assert library.parents == [None]
