"""What a kernel of another run is worth: grown once, entered with its weights into other runs' races.

    python -m benchmarks.transfer --seeds 5

A donor run grows a kernel on MNIST-1D. Runs with other host seeds are then made three times: without
it, with it, and with the kernel of a donor that saw another draw of the data.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from mnist1d.data import get_dataset_args, make_dataset
from torch import Tensor
from torch.utils.data import TensorDataset

from benchmarks.arms import Setting
from benchmarks.results import Result, spread
from esper.contracts.enums import AdaptationOutcome
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.data.bundle import DataBundle
from esper.data.catalog import load
from esper.execution.artifact import KernelArtifact, unpack
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.kernel_outcomes import fossils, kernel_outcomes
from esper.orchestration.orchestrator import SeedOrchestrator

TARGETS = (0.80, 0.90, 0.95)
EVERY = 20
"""Steps between looks at the test accuracy; nothing is decided by them."""
OTHER_DRAW = 4_242
"""Seed of the generator for the second donor's data; the data set's own is 42."""
ARMS = {
    "without": "no kernel entered",
    "same": "kernel of a run on the same data",
    "other": "kernel of a run on another draw of the data",
}


@dataclass(frozen=True)
class Run:
    """One run, and when it was how good."""

    test: float
    multiple: float
    curve: tuple[tuple[int, float], ...]
    """Steps, and the test accuracy there."""
    races: tuple[str, ...]
    """What became of the kernel in each race."""
    winner: str

    def reached(self, target: float) -> int | None:
        """The first step looked at with at least this test accuracy."""
        return next((step for step, accuracy in self.curve if accuracy >= target), None)


def another_draw(bundle: DataBundle) -> DataBundle:
    """The same task with other samples."""
    arguments = get_dataset_args()
    arguments.seed = OTHER_DRAW
    data = make_dataset(arguments)
    x, y = torch.tensor(data["x"]).float(), torch.tensor(data["y"]).long()
    return replace(bundle, train=TensorDataset(x, y))


def run(
    setting: Setting, config: GrowthConfig, kernels: Sequence[KernelArtifact]
) -> tuple[Run, MorphableModel]:
    """Esper's run with kernels entered."""
    model = wrap(setting.host(), example_input=setting.bundle.example)
    optimizer, scheduler = setting.optimizer(model)
    grow = SeedOrchestrator(
        model,
        optimizer,
        loss_fn=setting.bundle.loss_fn,
        growth_data=setting.growth_batches(),
        total_steps=setting.steps,
        metric=setting.bundle.measure,
        scheduler=scheduler,
        config=config,
        kernels=kernels,
        seed=setting.seed,
    )
    curve = []

    def after_step(step: int, x: Tensor, y: Tensor, loss: Tensor) -> None:
        scheduler.step()
        grow.step(x, y, loss)
        if (step + 1) % EVERY == 0:
            curve.append((step + 1, setting.measure(model, test=True)))

    setting.train(model, optimizer, after_step)
    report = grow.finish()
    outcomes = kernel_outcomes(report, "benchmark")
    graft = next((d.candidate for d in report.decisions if d.verdict == "graft"), None)
    found = Run(
        test=setting.measure(model, test=True),
        multiple=report.cost.multiple,
        curve=tuple(curve),
        races=tuple(o.report.outcome.value for o in outcomes),
        winner="nobody" if graft is None else f"{graft.title} in {graft.layer_name}",
    )
    return found, model


def donate(bundle: DataBundle, seed: int, config: GrowthConfig) -> list[KernelArtifact]:
    """The kernels that a run keeps."""
    found, model = run(Setting(bundle, seed, _steps(bundle), bundle.model), config, ())
    print(f"donor, seed {seed}: {found.test:.4f}, {found.winner}", flush=True)
    kept = fossils(model, run_id=f"donor-{seed}", tags={"task": bundle.name})
    return [unpack(fossil.data) for fossil in kept]


def _steps(bundle: DataBundle) -> int:
    assert bundle.recipe.steps is not None
    return bundle.recipe.steps


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="host seeds, from 1")
    parser.add_argument("--donor", type=int, default=0, help="seed of the donors")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bundle, config = load("mnist1d"), GrowthConfig()
    entered: dict[str, Sequence[KernelArtifact]] = {
        "without": (),
        "same": donate(bundle, arguments.donor, config),
        "other": donate(another_draw(bundle), arguments.donor, config),
    }
    found: dict[str, list[Run]] = {arm: [] for arm in entered}
    for seed in range(1, arguments.seeds + 1):
        setting = Setting(bundle, seed, _steps(bundle), bundle.model)
        for arm, kernels in entered.items():
            started = time.monotonic()
            one, _ = run(setting, config, kernels)
            found[arm].append(one)
            reached = ", ".join(f"{t:.0%} at {one.reached(t)}" for t in TARGETS)
            print(
                f"seed {seed} {arm:8} {one.test:.4f} at {one.multiple:.2f}x; {reached}; "
                f"{one.winner}; {'/'.join(one.races)} ({time.monotonic() - started:.0f} s)",
                flush=True,
            )
    publish(bundle, found)


def publish(bundle: DataBundle, found: dict[str, list[Run]]) -> None:
    """Write the table."""
    rows = [
        [
            ARMS[arm],
            spread([r.test for r in runs], 4),
            spread([r.multiple for r in runs], 2),
            *(_reached(runs, target) for target in TARGETS),
            _wins(runs),
        ]
        for arm, runs in found.items()
    ]
    columns = ["entered", "test", "compute", *(f"{t:.0%} at step" for t in TARGETS), "its races"]
    notes = [
        (
            f"{bundle.description} {_steps(bundle):,} steps of batch {bundle.recipe.batch_size}, "
            f"AdamW {bundle.recipe.learning_rate:g}, cosine; default configuration; "
            f"{len(found['without'])} host seeds, none of them the donor's (which decides its host, "
            f"splits and batches). The test accuracy is looked at every {EVERY} steps; nothing is "
            "decided by it."
        ),
        (
            "A donor on the same data has learned from most of what is held out in the other runs, "
            "so their evidence flatters its kernel; the last row is free of that."
        ),
        *(
            f"{ARMS[arm].capitalize()}: {'; '.join(_line(i, r) for i, r in enumerate(runs, 1))}."
            for arm, runs in found.items()
        ),
    ]
    Result("transfer", "A kernel of one run in the races of others", columns, rows, notes).publish()


def _reached(runs: Sequence[Run], target: float) -> str:
    steps = [step for r in runs if (step := r.reached(target)) is not None]
    missing = "" if len(steps) == len(runs) else f" ({len(steps)} of {len(runs)} runs)"
    return (f"{statistics.fmean(steps):,.0f}" if steps else "never") + missing


def _wins(runs: Sequence[Run]) -> str:
    races = [outcome for r in runs for outcome in r.races]
    won = sum(outcome == AdaptationOutcome.FOSSILIZED.value for outcome in races)
    return f"won and kept {won} of {len(races)}" if races else "none"


def _line(seed: int, one: Run) -> str:
    return f"seed {seed} {one.test:.4f}, {one.winner}"


if __name__ == "__main__":
    main()
