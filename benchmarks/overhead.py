"""What Esper costs while nothing grows: a dormant wrapped model, and an idle orchestrator.

An orchestrator is idle before anything has grown, and again once a kernel has become a fossil.

    python -m benchmarks.overhead
    python -m benchmarks.overhead --rounds 40 --no-instructions

Blocks of training steps (forward, loss, backward, AdamW) of two twins run in turn in one process;
see `interleaved.py`. Bars, as shares of a step: dormant 1 %, eager and compiled; idle 2 % with
health signals, 0.5 % between two of them, before a fossil and after.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.instructions import available, count, measured
from benchmarks.interleaved import Comparison, interleave
from benchmarks.results import Result
from benchmarks.workloads import WORKLOADS, Loop, Workload, twins
from esper.blueprints.build import build
from esper.blueprints.library.catalog import candidate
from esper.contracts.enums import KasminaAction, KernelMode
from esper.contracts.messages import KasminaControlCommand
from esper.core.model_wrapper import wrap
from esper.core.morphable_model import MorphableModel
from esper.execution.artifact import KernelArtifact, pack, unpack
from esper.orchestration.growth_config import GrowthConfig
from esper.orchestration.orchestrator import SeedOrchestrator

TOTAL_STEPS = 4000
GROWTH_SAMPLES = 400
COUNTED = WORKLOADS[:1]
"""Whose instructions are counted: the larger steps take Valgrind minutes, and dwarf the rest."""
COUNTED_STEPS = 4
NEVER = GrowthConfig(max_grafts=0)
SILENT = GrowthConfig(max_grafts=0, observe_every=TOTAL_STEPS * 1000)
"""No health signals either."""
FOSSIL = ("bottleneck-mlp", "small")
PERIOD = NEVER.observe_every
"""Steps in which an idle run of that length does everything: one health sample, and the looks."""
LOOKS = round(1 / NEVER.check_every)
COLUMNS = ("what", "model", "plain µs", "with Esper µs", "added (95 % interval)", "instructions")


def wrapped(model: nn.Module, x: Tensor) -> MorphableModel:
    return wrap(model, example_input=x, inplace=True)


def dormant(workload: Workload) -> tuple[Loop, Loop]:
    """A plain model's loop, and its wrapped twin's."""
    plain, twin = twins(workload)
    batch = workload.batch()
    return Loop(plain, batch), Loop(wrapped(twin, batch[0]), batch)


def compiled(workload: Workload) -> tuple[Loop, Loop]:
    """The same, both compiled whole; a graph break raises."""
    torch.compiler.reset()
    plain, twin = twins(workload)
    batch = workload.batch()
    model = wrapped(twin, batch[0])
    runs = [torch.compile(m, fullgraph=True) for m in (plain, model)]
    return Loop(plain, batch, runs[0]), Loop(model, batch, runs[1])


def idle(
    workload: Workload, *, looks: bool
) -> tuple[Callable[[], object], Callable[[], object], int]:
    """A dormant model's loop, the same with an orchestrator that never races, and its block."""
    loops = [Loop(wrapped(m, workload.batch()[0]), workload.batch()) for m in twins(workload)]
    model, (x, y) = loops[1].model, workload.batch()
    assert isinstance(model, MorphableModel)
    # Without looks: the one look of so long a run is at its start.
    total = TOTAL_STEPS if looks else TOTAL_STEPS * 1000
    orchestrator = SeedOrchestrator(
        model,
        loops[1].optimizer,
        loss_fn=F.cross_entropy,
        growth_data=[workload.batch(GROWTH_SAMPLES)],
        total_steps=total,
        config=NEVER,
    )

    def step() -> None:
        orchestrator.step(x, y, loops[1].step())

    return loops[0].step, step, PERIOD


def at_rest(workload: Workload, mode: KernelMode | None) -> tuple[Loop, SeedOrchestrator]:
    """A loop and its orchestrator, which has nothing to do for a long time.

    Args:
        workload: the model.
        mode: of a kernel in its first layer that has become a fossil; None: nothing has grown.
    """
    batch = workload.batch()
    loop = Loop(wrapped(twins(workload)[0], batch[0]), batch)
    assert isinstance(loop.model, MorphableModel)
    orchestrator = SeedOrchestrator(
        loop.model,
        loop.optimizer,
        loss_fn=F.cross_entropy,
        growth_data=[workload.batch(GROWTH_SAMPLES)],
        total_steps=TOTAL_STEPS * 1000,
        config=SILENT,
    )
    if mode is not None:
        kernel = fossil(loop.model, mode)
        become_fossil(orchestrator, loop.model.get_layer_names()[0], kernel)
    return loop, orchestrator


def rest_row(what: str, workload: Workload, mode: KernelMode | None, rounds: int) -> list[str]:
    """Medians of a training step, and of `SeedOrchestrator.step` right after it."""
    loop, orchestrator = at_rest(workload, mode)
    x, y = workload.batch()
    steps, rests = [], []
    for number in range(rounds * workload.block):
        began = time.perf_counter_ns()
        loss = loop.step()
        trained = time.perf_counter_ns()
        orchestrator.step(x, y, loss)
        if number >= workload.block:
            steps.append((trained - began) / 1000)
            rests.append((time.perf_counter_ns() - trained) / 1000)
    step, rest = statistics.median(steps), statistics.median(rests)
    found = [what, workload.name, f"{step:,.0f}", f"{rest:.1f}", f"{rest / step:.2%}"]
    print(*found, flush=True)
    return found


def publish_rest(rounds: int) -> None:
    """The table of steps in which nothing is due."""
    rows = [
        rest_row(what, workload, mode, rounds)
        for mode, what in (
            (None, "before anything has grown"),
            (KernelMode.REPLACING, "after a fossil in its host's place"),
            (KernelMode.RESIDUAL, "after a fossil beside its host"),
        )
        for workload in WORKLOADS
    ]
    title = "Overhead of a step in which nothing is due"
    columns = ("when", "model", "training step µs", "`SeedOrchestrator.step` µs", "share")
    Result("overhead-rest", title, columns, rows, (REST,)).publish()


def fossil(model: MorphableModel, mode: KernelMode) -> KernelArtifact:
    """A kernel for the model's first layer."""
    geometry = model.layer(model.get_layer_names()[0]).geometry
    assert geometry is not None
    chosen = candidate(geometry, *FOSSIL, mode)
    return unpack(pack(build(chosen.ir, seed=0), chosen.ir, mode, blueprint=chosen.label))


def become_fossil(orchestrator: SeedOrchestrator, layer_name: str, kernel: KernelArtifact) -> None:
    """Load a kernel and make it permanent, as commands from outside do."""
    where = {"run_id": "benchmark", "layer_name": layer_name, "seed_idx": 0}
    for action, more in (
        (KasminaAction.LOAD_KERNEL, {"kernel_id": kernel.kernel_id}),
        (KasminaAction.SET_ALPHA, {"alpha": 1.0}),
        (KasminaAction.FOSSILIZE, {}),
    ):
        command = KasminaControlCommand.model_validate({**where, **more, "action": action})
        orchestrator.carry_out(command, kernel)


def count_dormant() -> None:
    """In the child process of `count`: both twins of every model, after a block of nothing."""
    torch.set_num_threads(1)
    for workload in COUNTED:
        loops = dormant(workload)
        for loop in loops:
            for _ in range(3):
                loop.step()
        measured(lambda: None)
        for loop in (*loops, *reversed(loops)):  # there and back: what warms up is shared out
            measured(lambda loop=loop: [loop.step() for _ in range(COUNTED_STEPS)])


def counted() -> list[str]:
    """Instructions that dormancy adds to a step of each model, in words."""
    if not available():
        return ["no Valgrind" for _ in WORKLOADS]
    counts = count("benchmarks.overhead:count_dormant", 5 * len(COUNTED))
    found = []
    for nothing, plain, twin, again, back in zip(*[iter(counts)] * 5, strict=True):
        added, base = twin + again - plain - back, plain + back - 2 * nothing
        found.append(f"{added / COUNTED_STEPS / 2:+,.0f} ({added / base:+.2%})")
    return found + ["–"] * (len(WORKLOADS) - len(COUNTED))


def row(what: str, workload: Workload, found: Comparison, instructions: str = "–") -> list[str]:
    low, high = found.interval
    share = f"{found.overhead:+.2%} ({low:+.2%} to {high:+.2%})"
    times = [f"{found.base_us:,.0f}", f"{found.changed_us:,.0f}"]
    print(what, workload.name, *times, share, instructions, flush=True)
    return [what, workload.name, *times, share, instructions]


def measure(rounds: int, instructions: list[str]) -> list[list[str]]:
    """All rows of the table."""
    rows = []
    for workload, exact in zip(WORKLOADS, instructions, strict=True):
        plain, twin = dormant(workload)
        found = interleave(plain.step, twin.step, steps=workload.block, rounds=rounds)
        rows.append(row("dormant, eager", workload, found, exact))
    for workload in WORKLOADS:
        plain, twin = compiled(workload)
        found = interleave(plain.step, twin.step, steps=workload.block, rounds=rounds)
        rows.append(row("dormant, compiled", workload, found))
    torch.compiler.reset()
    for looks, what in ((False, "idle, with health signals"), (True, "the same, with looks")):
        for workload in WORKLOADS:
            base, changed, steps = idle(workload, looks=looks)
            few = max(3, rounds * workload.block // steps)
            rows.append(row(what, workload, interleave(base, changed, steps=steps, rounds=few)))
    return rows


REST = (
    "Wall-clock medians over all steps but the first block: the training step, and what "
    "`SeedOrchestrator.step` takes right after it where no health signal, look, race or graft is due; "
    "after a fossil it sets the learning rate of what was grafted. Measured one after the other in the "
    "same loop, so that a busy machine slows both. Bar: 0.5 % of a step, before a fossil and after."
)
NOTES = (
    (
        "Processor time per training step (forward, loss, backward, AdamW), one thread; medians over "
        "rounds in which both twins run a block each, in alternating order. Added: the median over "
        "rounds of the ratio, with its 95 % interval. Bars: dormant 1 %, idle 2 % of a step. "
        "Compiled means the whole model with `fullgraph=True`, which raises at a graph break."
    ),
    (
        "Instructions: what a dormant step executes more than a plain one, counted by callgrind; "
        "repeated counts differ by some 10,000. An interval of fewer than ten rounds is their range."
    ),
    (
        f"Idle is measured against the dormant model: an orchestrator in which no race may start, a "
        f"health sample of every layer each {NEVER.observe_every} steps. With looks: the evaluation of "
        f"{GROWTH_SAMPLES} held-out samples {LOOKS} times in {TOTAL_STEPS:,} steps is "
        "added, which the cost account books as evaluation; its share is set by the growth split's "
        "size, not by Esper's own work."
    ),
)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--no-instructions", action="store_true", help="clock only: no Valgrind")
    parser.add_argument("--rest", action="store_true", help="only steps in which nothing is due")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.rest:
        publish_rest(arguments.rounds)
        return
    exact = ["–" for _ in WORKLOADS] if arguments.no_instructions else counted()
    rows = measure(arguments.rounds, exact)
    Result("overhead", "Overhead while nothing grows", COLUMNS, rows, NOTES).publish()


if __name__ == "__main__":
    main()
