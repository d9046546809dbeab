"""What a run's report says of the proven kernels that raced in it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from esper.contracts.enums import AdaptationOutcome
from esper.contracts.growth import GrowthReport
from esper.contracts.library import KernelOutcome
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.data.bundle import DataBundle
from esper.data.catalog import load as load_data
from esper.execution.artifact import KernelArtifact, unpack
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.kernel_outcomes import fossil_outcome, fossils, kernel_outcomes
from esper.orchestration.orchestrator import SeedOrchestrator
from support.proven_kernels import proven, trained

STEPS = 240
CONFIG = GrowthConfig(
    first_check=0.1, rung=0.1, ramp=0.05, settle=0.05, max_grafts=1, scout_compute=1.0
)


@pytest.fixture(scope="module")
def bundle() -> DataBundle:
    return load_data("mnist1d")


def grow(
    bundle: DataBundle, kernels: list[KernelArtifact], **settings: Any
) -> tuple[MorphableModel, GrowthReport]:
    torch.manual_seed(0)
    x, y = bundle.train.tensors
    model = wrap(bundle.model(), example_input=x[:4])
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    grow = SeedOrchestrator(
        model,
        optimizer,
        loss_fn=F.cross_entropy,
        growth_data=[(x[3600:], y[3600:])],
        total_steps=STEPS,
        config=CONFIG,
        kernels=kernels,
        **settings,
    )
    for step in range(STEPS):
        rows = torch.arange(step * 64, step * 64 + 64) % 3600
        loss = F.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        grow.step(x[rows], y[rows], loss)
    return model, grow.finish()


@pytest.fixture(scope="module")
def finished(bundle: DataBundle) -> tuple[MorphableModel, GrowthReport, list[KernelArtifact]]:
    geometry = wrap(bundle.model(), example_input=bundle.example).kasmina_layers["0"].geometry
    assert geometry is not None
    x, y = bundle.train.tensors
    good = trained(geometry, x[:3600], y[:3600])
    kernels = [good, proven(geometry, "low-rank")]
    model, report = grow(bundle, kernels)
    return model, report, kernels


def of(outcomes: tuple[KernelOutcome, ...], kernel: KernelArtifact) -> KernelOutcome:
    (found,) = [o for o in outcomes if o.kernel_id == kernel.kernel_id]
    return found


def test_a_trained_kernel_wins_the_race_of_another_host_and_its_outcome_says_so(
    finished: tuple[MorphableModel, GrowthReport, list[KernelArtifact]],
) -> None:
    _, report, (good, _) = finished
    graft = next(d for d in report.decisions if d.verdict == "graft")
    assert graft.candidate is not None
    assert graft.candidate.kernel_id == good.kernel_id
    outcome = of(kernel_outcomes(report, "run-1"), good)
    assert outcome.report.outcome is AdaptationOutcome.FOSSILIZED
    assert outcome.report.kernel_id == good.kernel_id
    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.after < outcome.before
    grown = sum(r.parameters for r in report.after) - sum(r.parameters for r in report.before)
    assert outcome.report.parameters_added == grown


def test_a_proven_kernel_that_leads_and_pays_already_wins_at_once(
    finished: tuple[MorphableModel, GrowthReport, list[KernelArtifact]],
) -> None:
    _, report, _ = finished
    assert len(report.races[0].rungs) == 1 < CONFIG.rungs


def test_a_kernel_that_lost_is_reported_with_its_last_standing(
    finished: tuple[MorphableModel, GrowthReport, list[KernelArtifact]],
) -> None:
    _, report, (_, weak) = finished
    outcome = of(kernel_outcomes(report, "run-1"), weak)
    assert outcome.report.outcome is AdaptationOutcome.OUTRACED
    places = [s for r in report.races[0].rungs for s in r.standings]
    last = [s for s in places if s.kernel_id == weak.kernel_id][-1]
    assert (outcome.report.gain, outcome.after) == (last.gain, last.loss)
    assert outcome.report.notes


def test_the_same_run_tells_the_same_reports_and_another_run_others(
    finished: tuple[MorphableModel, GrowthReport, list[KernelArtifact]],
) -> None:
    _, report, _ = finished
    one, again = kernel_outcomes(report, "run-1"), kernel_outcomes(report, "run-1")
    assert one == again
    other = kernel_outcomes(report, "run-2")
    assert not {o.report_id for o in one} & {o.report_id for o in other}


def test_a_kept_kernel_becomes_a_file_with_its_origin_and_its_gain(
    finished: tuple[MorphableModel, GrowthReport, list[KernelArtifact]],
) -> None:
    model, report, (good, _) = finished
    (fossil,) = fossils(model, run_id="run-1", tags={"task": "mnist1d"})
    assert fossil.registration.tags == {"task": "mnist1d", "layer": "0", "parent": good.kernel_id}
    assert fossil.registration.host == "linear"
    kernel = unpack(fossil.data, expected_id=fossil.registration.kernel_id)
    seed = model.kasmina_layers["0"].seed(0)
    assert seed.kernel is not None
    for name, value in seed.kernel.state_dict().items():
        assert torch.equal(kernel.weights[name], value)
    outcome = fossil_outcome(report, fossil, "run-1")
    assert outcome is not None
    assert outcome.kernel_id == kernel.kernel_id != good.kernel_id
    assert outcome.report.gain is not None
    assert outcome.report.gain > 0


def test_a_run_without_proven_kernels_has_nothing_to_report(
    finished: tuple[MorphableModel, GrowthReport, list[KernelArtifact]],
) -> None:
    _, report, _ = finished
    fresh = report.races[0].model_copy(
        update={"entrants": tuple(e for e in report.races[0].entrants if e.kernel_id is None)}
    )
    assert kernel_outcomes(report.model_copy(update={"races": (fresh,)}), "run") == ()


def test_a_kernel_that_raised_in_the_race_has_failed(
    finished: tuple[MorphableModel, GrowthReport, list[KernelArtifact]],
) -> None:
    _, report, (_, weak) = finished
    race = report.races[0]
    first = race.rungs[0]
    without = tuple(s for s in first.standings if s.kernel_id != weak.kernel_id)
    broken = race.model_copy(
        update={"rungs": (first.model_copy(update={"standings": without}), *race.rungs[1:])}
    )
    outcome = of(kernel_outcomes(report.model_copy(update={"races": (broken,)}), "run"), weak)
    assert outcome.report.outcome is AdaptationOutcome.FAILED
    assert outcome.after is None
