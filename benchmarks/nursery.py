"""What a race costs the training loop that it goes on beside: held in the loop, and in a worker.

    python -m benchmarks.nursery --width 512 --steps 2000

The same run is made without growth, with races in the training loop, and with races in a worker
process. What a race costs the loop is the processor time of the training thread: what other
processes do on the machine hardly counts there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.arms import Setting
from benchmarks.results import Result
from esper.core.model_wrapper import wrap
from esper.data.catalog import load
from esper.data.models.mlp import mlp
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.nursery import Nursery
from esper.orchestration.orchestrator import SeedOrchestrator
from esper.services.tezzeret.nursery_server import ProcessNursery

ARMS = {"off": "no growth", "inline": "race in the loop", "process": "race in a worker"}
_WARM_UP = 8.0
"""Seconds that a worker is given to start, as the first tenth of a longer run would."""


@dataclass(frozen=True)
class Run:
    """One run, step by step."""

    idle: tuple[float, ...]
    """Processor seconds of the training thread, for each step without a race."""
    racing: tuple[float, ...]
    """The same for each step with one."""
    opening: float
    """The same for the longest step at which a race was opened."""
    seconds: float
    """The whole run on the clock."""
    decided: str
    test: float


def run(setting: Setting, config: GrowthConfig, nursery: Nursery | None) -> Run:
    """One run, each step timed."""
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
        nursery=nursery,
        seed=setting.seed,
    )
    idle, racing, opening = [], [], [0.0]
    last, begun = time.thread_time(), time.perf_counter()

    def after_step(_: int, x: Tensor, y: Tensor, loss: Tensor) -> None:
        nonlocal last
        scheduler.step()
        was_racing = grow.is_racing
        grow.step(x, y, loss)
        now = time.thread_time()
        (racing if was_racing else idle).append(now - last)
        if grow.is_racing and not was_racing:
            opening.append(idle[-1])
        last = now

    setting.train(model, optimizer, after_step)
    seconds = time.perf_counter() - begun
    report = grow.finish()
    races = [f"{r.start:,} to {r.end:,}" for r in report.races]
    kept = [d.candidate.title for d in report.decisions if d.verdict == "fossilise" and d.candidate]
    return Run(
        idle=tuple(idle),
        racing=tuple(racing),
        opening=max(opening),
        seconds=seconds,
        decided=f"{'; '.join(races) or 'no race'}: {', '.join(kept) or 'nothing kept'}",
        test=setting.measure(model, test=True),
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=512, help="of the host's two hidden layers")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bundle, width = load("mnist1d"), arguments.width
    setting = Setting(bundle, arguments.seed, arguments.steps, lambda: mlp(40, (width, width), 10))
    found = {}
    with ProcessNursery() as nursery:
        time.sleep(_WARM_UP)
        for arm in ARMS:
            config = GrowthConfig(max_grafts=0) if arm == "off" else GrowthConfig()
            found[arm] = run(setting, config, nursery if arm == "process" else None)
            print(f"{arm}: {found[arm].seconds:.1f} s, {found[arm].decided}", flush=True)
    rows = [_row(ARMS[arm], one) for arm, one in found.items()]
    columns = [
        "run",
        "on the clock, s",
        "step without race, CPU ms",
        "with, median",
        "with, 99 %",
        "with, longest",
    ]
    columns += ["opening a race, CPU ms", "races, from step to step", "test"]
    note = (
        f"MNIST-1D, perceptron 40-{width}-{width}-10, {arguments.steps:,} steps of batch "
        f"{bundle.recipe.batch_size}, one thread each for trainer and worker. The trainer never waits "
        "for the worker, so a winner comes in as many steps later as the worker takes longer. Load "
        f"average of the machine's {os.cpu_count()} processors meanwhile: {os.getloadavg()[1]:.1f}."
    )
    Result("nursery", "A race beside training", columns, rows, [note]).publish()


def _row(name: str, one: Run) -> list[str]:
    racing = sorted(one.racing)
    with_race = ["—"] * 3
    if racing:
        marks = (statistics.median(racing), racing[int(0.99 * len(racing))], racing[-1])
        with_race = [f"{1e3 * value:.2f}" for value in marks]
    return [
        name,
        f"{one.seconds:.1f}",
        f"{1e3 * statistics.median(one.idle):.2f}",
        *with_race,
        f"{1e3 * one.opening:.0f}" if one.opening else "—",
        one.decided,
        f"{one.test:.4f}",
    ]


if __name__ == "__main__":
    main()
