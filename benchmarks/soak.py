"""Half an hour of `esper up` with runs in a loop: does anything grow that should not?

Starts a platform in an empty folder, trains one short run after the other beside it, asks for a
kernel now and then, and reads every few seconds what each service holds: memory, file descriptors,
what waits on the bus, and what lies on the disk.

    python -m benchmarks.soak [--minutes 30] [--every 10] [--dry]

`--dry` writes no result. The exit status is 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from benchmarks.results import Result
from esper.contracts.enums import TopicNames
from esper.contracts.messages import OonaMessage, RequestBlueprint
from esper.hosting.discovery import Platform
from esper.services.nissa.run_store import RunStore
from esper.services.oona.open import open_bus
from support.forge import blueprint_of, perceptron
from support.platforms import Up, training, up

MEBIBYTE = 2**20
RUN = ("-q", "mnist1d", "--steps", "600")
"""Long enough to race, and to graft now and then."""
WARM = 0.25
"""Share of the time that is left to warm up: what was never used before is imported and cached."""
SETTLE_SECONDS = 60.0
"""Longest time after the last run for the services to finish what it left to do."""
KEPT = ("bus", "urza", "logs", "secrets", "kernels")
"""Folders that must not grow with the number of runs; the run store grows with what it holds."""


@dataclass
class Sample:
    """What was read at one moment."""

    at: float
    rss: dict[str, float]
    """MiB, by service, with what it keeps running."""
    descriptors: dict[str, int]
    pending: int
    """Messages that a group of the bus was given and has not acknowledged."""
    waiting: int
    """Messages that a group was not given yet."""
    dead: int
    """Dead letters."""
    kept: float
    """MiB in the folders that must not grow with the runs."""
    store: float
    """MiB of the run store."""
    runs: int
    """Runs that have ended by then."""


@dataclass
class Course:
    """All samples, in order, and how the runs went."""

    samples: list[Sample] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    lines: int = 0
    """Lines of all runs that the store has at the end."""
    restarts: int = 0

    def part(self, first: float, last: float) -> list[Sample]:
        """The samples between two shares of the time."""
        begin, end = self.samples[0].at, self.samples[-1].at
        low, high = begin + first * (end - begin), begin + last * (end - begin)
        return [sample for sample in self.samples if low <= sample.at <= high]

    def growth(self, figure: Callable[[Sample], float]) -> tuple[float, float]:
        """The figure's median in the first third after the warm-up, and in the last third."""
        early = self.part(WARM, WARM + (1 - WARM) / 3)
        late = self.part(1 - (1 - WARM) / 3, 1.0)
        return (
            statistics.median(map(figure, early or self.samples)),
            statistics.median(map(figure, late or self.samples)),
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Soak a platform.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two readings")
    parser.add_argument("--dry", action="store_true", help="write no result")
    options = parser.parse_args()
    # Whoever ends it so would leave a platform behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="esper-soak-") as folder:
        course = soak(Path(folder), options.minutes * 60, options.every)
    rows, met = judged(course)
    result = Result(
        "soak",
        f"{options.minutes:g} minutes of `esper up` with runs in a loop",
        ["what", "after the warm-up", "at the end", "bar", ""],
        rows,
        notes(course),
    )
    if options.dry:
        print(result.table())
    else:
        result.publish()
    print("bars met" if met else "A BAR IS MISSED")
    return 0 if met else 1


def soak(home: Path, seconds: float, every: float) -> Course:
    course, over = Course(), Event()
    with up(home) as running:
        loop = Thread(target=_runs, args=(home, running, course, over))
        loop.start()
        try:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                course.samples.append(read(running, course))
                over.wait(every)
        finally:
            over.set()
            loop.join()
        course.samples.append(_settled(running, course))
        course.lines = asyncio.run(_lines(running.platform()))
        course.restarts = sum(running.restarts().values())
    return course


def _settled(running: Up, course: Course) -> Sample:
    """Return the first sample after everything that the last run left to do was done."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        time.sleep(1.0)
        sample = read(running, course)
        if not (sample.pending or sample.waiting) or time.monotonic() > deadline:
            return sample


def _runs(home: Path, running: Up, course: Course, over: Event) -> None:
    while not over.is_set():
        number = len(course.statuses)
        with training(home, f"run-{number}", *RUN, "--seed", str(number)) as trainer:
            while trainer.poll() is None and not over.is_set():
                over.wait(0.2)
            if trainer.poll() is None:
                trainer.terminate()  # the time is over: it leaves a checkpoint
            course.statuses.append(trainer.wait())
        if number % 5 == 0:
            asyncio.run(_ask_for_a_kernel(running.platform(), number))


async def _ask_for_a_kernel(platform: Platform, number: int) -> None:
    blueprint = blueprint_of(perceptron(8 + number), name=f"soak/{number}")
    body = RequestBlueprint(blueprint=blueprint, requested_by="soak")
    topic = TopicNames.INNOVATION_BLUEPRINT_REQUESTS
    bus = await open_bus(platform.bus_url)
    try:
        await bus.publish([OonaMessage.of(body, sender_id="soak/1", topic=topic)])
    finally:
        await bus.close()


def read(running: Up, course: Course) -> Sample:
    platform = running.platform()
    families = {"up": [psutil.Process(running.process.pid)]}
    for record in platform.services:
        if record.pid is not None:
            families[record.name] = _family(record.pid)
    pending, waiting, dead = asyncio.run(_bus(platform))
    home = running.home
    return Sample(
        at=time.monotonic(),
        rss={name: _sum(family, _rss) / MEBIBYTE for name, family in families.items()},
        descriptors={name: _sum(family, _fds) for name, family in families.items()},
        pending=pending,
        waiting=waiting,
        dead=dead,
        kept=sum(_size(home / name) for name in KEPT) / MEBIBYTE,
        store=sum(path.stat().st_size for path in home.glob("runs.db*")) / MEBIBYTE,
        runs=len(course.statuses),
    )


def _family(pid: int) -> list[psutil.Process]:
    """A service and what it started; without builds, which lead sessions of their own and end."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return []
    return [one for one in family if _session_of(one.pid) == pid]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None  # it ended just now


def _rss(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _fds(process: psutil.Process) -> int:
    return int(process.num_fds())


def _sum(family: Sequence[psutil.Process], figure: Callable[[psutil.Process], int]) -> int:
    total = 0
    for process in family:
        try:
            total += figure(process)
        except psutil.Error:
            continue  # it ended just now
    return total


def _size(folder: Path) -> int:
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(path) / name).stat().st_size
            except OSError:
                continue  # it was removed just now
    return total


async def _bus(platform: Platform) -> tuple[int, int, int]:
    bus = await open_bus(platform.bus_url)
    try:
        lags = [lag for lag in await bus.lag() if not lag.group.startswith("tolaria.")]
        dead = [len(await bus.dead(topic)) for topic in TopicNames]
    finally:
        await bus.close()
    return sum(lag.pending for lag in lags), sum(lag.waiting for lag in lags), sum(dead)


async def _lines(platform: Platform) -> int:
    store = await RunStore.open(platform.store_url)
    try:
        runs = await store.runs(limit=10_000)
        return sum([len(await store.lines(run.run_id, limit=1_000_000)) for run in runs])
    finally:
        await store.close()


def judged(course: Course) -> tuple[list[list[str]], bool]:
    """The table's rows, and whether all bars are met."""
    rows, verdicts = [], []

    def row(what: str, early: str, late: str, bar: str, *, met: bool) -> None:
        rows.append([what, early, late, bar, "met" if met else "**missed**"])
        verdicts.append(met)

    names = sorted(course.samples[-1].rss)
    for name in names:
        early, late = course.growth(lambda sample, name=name: sample.rss.get(name, 0.0))
        met = late <= early * 1.05 + 8
        row(f"{name}: RSS", f"{early:.0f} MiB", f"{late:.0f} MiB", "+5 % + 8 MiB", met=met)
    for name in names:
        early, late = course.growth(lambda sample, name=name: sample.descriptors.get(name, 0))
        row(f"{name}: file descriptors", f"{early:g}", f"{late:g}", "+4", met=late <= early + 4)
    last = course.samples[-1]
    most = max(sample.pending for sample in course.samples)
    row("bus: pending", f"{most} at most", str(last.pending), "0 at the end", met=not last.pending)
    most = max(sample.waiting for sample in course.samples)
    row("bus: waiting", f"{most} at most", str(last.waiting), "0 at the end", met=not last.waiting)
    row("bus: dead letters", "", str(last.dead), "0", met=last.dead == 0)
    early, late = course.growth(lambda sample: sample.kept)
    row(
        "disk: bus, library, logs",
        f"{early:.1f} MiB",
        f"{late:.1f} MiB",
        "≤ 160 MiB",
        met=late <= 160,
    )
    first, second = per_run(course)
    row(
        "disk: run store, for each run",
        f"{first:.3f} MiB",
        f"{second:.3f} MiB",
        "+25 % + 0.05 MiB",
        met=second <= first * 1.25 + 0.05,
    )
    failed = [status for status in course.statuses[:-1] if status]
    row("runs that failed", "", str(len(failed)), "0", met=not failed)
    row("services started again", "", str(course.restarts), "0", met=course.restarts == 0)
    return rows, all(verdicts)


def per_run(course: Course) -> tuple[float, float]:
    """MiB that the run store grew for each run, in the first and the second half of the runs."""
    half = course.samples[-1].runs // 2
    begin, end = course.samples[0], course.samples[-1]
    middle = next(sample for sample in course.samples if sample.runs >= half)
    return (
        (middle.store - begin.store) / max(middle.runs - begin.runs, 1),
        (end.store - middle.store) / max(end.runs - middle.runs, 1),
    )


def notes(course: Course) -> list[str]:
    load = os.getloadavg()[2]
    return [
        (
            f"{len(course.statuses)} runs of `esper train {' '.join(RUN)}`, one after the other, each "
            f"with a seed of its own; a kernel asked for over the bus at every fifth. The run store has "
            f"{course.lines} lines of them, {course.samples[-1].store:.1f} MiB."
        ),
        (
            "Memory and descriptors are sums over a service and what it keeps running, without builds, "
            "which come and go; each figure is a median: of the third of the time that follows the first quarter, "
            "and of the last such third. The bus keeps up to 100,000 messages a topic, and its log is "
            "rewritten from 64 MiB on; the run store keeps what runs wrote, and so grows with them."
        ),
        f"Load average of the last fifteen minutes: {load:.1f} on {os.cpu_count()} cores.",
    ]


if __name__ == "__main__":
    sys.exit(main())
