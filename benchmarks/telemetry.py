"""What it costs a training step that the run is followed, and by whom.

    python -m benchmarks.telemetry
    python -m benchmarks.telemetry --rounds 30

The trainer's own loop trains two models with the same weights, in turn, in one process: one writes
its log only, the other also hands every line on. Bar: 2 % of a step, with a server and with one
that takes connections and never answers.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch.utils.data import TensorDataset

from benchmarks.interleaved import Comparison
from benchmarks.results import Result
from benchmarks.servers import valkey
from benchmarks.workloads import WORKLOADS, Workload
from esper.contracts.ports import Publisher
from esper.data.bundle import DataBundle, Recipe
from esper.data.task import Task
from esper.hosting.presence import followed
from esper.orchestration.growth_config import GrowthConfig
from esper.services.tolaria.run import Run as TrainerRun
from esper.services.tolaria.run_control import Control
from esper.services.tolaria.run_log import RunLog
from esper.services.tolaria.run_progress import Progress
from esper.services.tolaria.session import begin
from esper.services.tolaria.signals import StopRequest
from esper.services.tolaria.telemetry import Telemetry
from esper.services.tolaria.training_config import TolariaConfig
from esper.utils.run_identity import RunIdentity

BLOCK_SECONDS = 4.0
"""Length of a block: several times what lines wait until they are sent."""
QUIET_SECONDS = 1.5
"""Pause after a block in which what was said is sent, so that the other block does not pay."""
PERIODS = {WORKLOADS[0]: 400, WORKLOADS[2]: 40}
"""Steps in which everything is said once: the trainer's own cadence, and for steps so slow that a
block would take minutes a cadence ten times as dense, which is dearer than it would be."""
TURNS = {WORKLOADS[0]: 3, WORKLOADS[2]: 1}
"""Pairs of blocks in a round: those of the small model are noisier."""
LINES = 8
"""Points of the curve in a period."""
SAMPLES = 4000
STEPS = 1_000_000
"""Planned, never reached: the schedule stands still over the benchmark."""
COLUMNS = (
    "followed by",
    "model",
    "step alone, ms",
    "step followed, ms",
    "added (95 % interval)",
    "processor added",
    "messages dropped",
)


class Run(StopRequest):
    """One training run, stopped and continued at will."""

    def __init__(self, workload: Workload, folder: Path, publisher: Publisher | None) -> None:
        super().__init__()
        x, y = workload.batch(SAMPLES)
        period = PERIODS[workload]
        data = TensorDataset(x, y)
        bundle = DataBundle(
            name="noise",
            train=data,
            test=data,
            task=Task.CLASSIFICATION,
            model=workload.make,
            recipe=Recipe(steps=STEPS, batch_size=workload.shape[0]),
            description="noise",
            source="generated",
        )
        config = TolariaConfig(
            data="noise",
            output=folder,
            growth=GrowthConfig(max_grafts=0, check_every=period / STEPS, observe_every=period),
            log_every=period // LINES,
            eval_every=period,
            checkpoint_every=STEPS,
        )
        telemetry, self.progress, self._until = Telemetry(publisher=publisher), Progress(), 0
        session = begin(config, bundle=bundle, sinks=(telemetry,))
        telemetry.early.clear()
        folder.mkdir()
        self.log = RunLog(folder / "run.jsonl")
        identity = RunIdentity(run_id=folder.name, attempt=0)
        telemetry.open(self.log, identity, self.progress, ())
        self._run = TrainerRun(
            session, self.progress, self.log, telemetry, self, Control(), time.monotonic
        )

    @property
    def is_asked(self) -> bool:
        """Whether the block is over: what the loop asks at each boundary of steps."""
        return self.progress.step >= self._until

    def block(self, steps: int) -> tuple[float, float]:
        """Train so many steps; returns wall and processor seconds of one.

        The processor's are those of all threads, until what was said has been sent.
        """
        self._until = self.progress.step + steps
        wall, processor = time.perf_counter(), time.process_time()
        self._run.train()
        wall = time.perf_counter() - wall
        time.sleep(QUIET_SECONDS)
        return wall / steps, (time.process_time() - processor) / steps


@contextmanager
def black_hole() -> Iterator[str]:
    """A server that takes connections and never says a word; gives its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@contextmanager
def follower(kind: str, folder: Path) -> Iterator[Publisher | None]:
    """A publisher whose messages go to this kind of follower."""
    with ExitStack() as stack:
        bus = {"valkey": lambda: valkey(append_only=True), "black hole": black_hole}.get(kind)
        url = None if bus is None else stack.enter_context(bus())
        store = f"sqlite:///{folder / 'runs.db'}"
        yield stack.enter_context(followed(folder, bus=url, store=store))


def compare(kind: str, workload: Workload, rounds: int) -> list[str]:
    """One row: what this follower adds to this model's step."""
    with tempfile.TemporaryDirectory(prefix="esper-") as name:
        place = Path(name)
        with follower(kind, place) as publisher:
            assert publisher is not None
            runs = (
                Run(workload, place / "alone", None),
                Run(workload, place / "followed", publisher),
            )
            period = PERIODS[workload]
            per_step, _ = runs[0].block(period // LINES)
            # Whole periods of the rarest thing, or one block has it and the other has not.
            steps = max(period, round(BLOCK_SECONDS / per_step / period) * period)
            found, processor = _interleave(runs, steps, rounds * TURNS[workload])
            dropped = sum(publisher.dropped.values())
        for run in runs:
            run.log.close()
    low, high = found.interval
    added = f"{found.overhead:+.2%} ({low:+.2%} to {high:+.2%})"
    times = [f"{found.base_us / 1000:.3f}", f"{found.changed_us / 1000:.3f}"]
    row = [kind, workload.name, *times, added, f"{processor:+.2%}", f"{dropped:,}"]
    print(" | ".join(row), flush=True)
    return row


def _interleave(runs: tuple[Run, Run], steps: int, rounds: int) -> tuple[Comparison, float]:
    wall: tuple[list[float], list[float]] = ([], [])
    processor: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for which in (0, 1) if number % 2 else (1, 0):
            clock, cpu = runs[which].block(steps)
            if number:  # the first round warms up
                wall[which].append(clock)
                processor[which].append(cpu)
    medians = [statistics.median(times) * 1e6 for times in wall]
    ratios = tuple(sorted(b / a for a, b in zip(*wall, strict=True)))
    cpu_ratio = statistics.median(b / a for a, b in zip(*processor, strict=True))
    return Comparison(medians[0], medians[1], ratios), cpu_ratio - 1.0


NOTES = (
    (
        "The trainer's own loop, one thread, without growth. Every 400 steps (encoder: 40, a cadence "
        f"denser than the trainer's) there are {LINES} points of the curve, an evaluation, and the health of every layer; "
        "both runs do all of that and write it into their logs. The followed one also hands every line "
        "to its link, whose thread gathers, packs and sends it."
    ),
    (
        "Followed by an observer in the process: the link's thread also writes the run store (SQLite), "
        "counts, and watches for alerts. By Valkey: published to a server with AOF every second; the "
        "run's commands are listened for and signs of life are sent. By a black hole: a server that takes "
        "connections and never answers."
    ),
    (
        "Time on the clock of the training thread, blocks of the two runs in alternating order; added is the "
        "median ratio of the rounds, with its 95 % interval. Processor added counts all threads of the "
        "process, and a pause after each block in which the rest is sent."
    ),
)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        compare(kind, workload, arguments.rounds)
        for kind in ("observer in the process", "valkey", "black hole")
        for workload in PERIODS
    ]
    Result("telemetry", "What following a run costs it", COLUMNS, rows, NOTES).publish()


if __name__ == "__main__":
    main()
