"""What an idle `esper up` takes: seconds until everything is ready, and memory of all its processes.

Starts a platform in an empty folder, several times, and reads ten seconds after it was ready what
each service holds. Memory is the proportional set size (PSS): a page that several processes share
counts once in the sum.

    python -m benchmarks.platform_start [--rounds 5]

The exit status is 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from benchmarks.results import Result
from support.platforms import Up, up

MEBIBYTE = 2**20
IDLE_SECONDS = 10.0
READY_BAR, MEMORY_BAR = 8.0, 700.0


def once() -> tuple[float, dict[str, float]]:
    """Seconds until all is ready, and MiB by service."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        with up(Path(folder)) as running:
            ready = time.monotonic() - began
            time.sleep(IDLE_SECONDS)
            return ready, memory(running)


def memory(running: Up) -> dict[str, float]:
    """MiB by service, with what it keeps running; `esper up` itself goes by that name."""
    records = running.platform().services
    heads = {record.name: psutil.Process(record.pid) for record in records if record.pid}
    found = {"esper up": _pss(psutil.Process(running.process.pid))}
    for name, head in heads.items():
        found[name] = sum(map(_pss, (head, *head.children(recursive=True))))
    return found


def _pss(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / MEBIBYTE


def main() -> int:
    """Measure, publish, and say whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = [once() for _ in range(parser.parse_args().rounds)]
    seconds = [ready for ready, _ in rounds]
    totals = [sum(taken.values()) for _, taken in rounds]
    rows = [
        ["ready, s", *_figures(seconds, 1), f"{READY_BAR:g}"],
        *(
            [f"{name}, MiB", *_figures([taken[name] for _, taken in rounds], 0), ""]
            for name in rounds[0][1]
        ),
        ["all of it, MiB", *_figures(totals, 0), f"{MEMORY_BAR:g}"],
    ]
    notes = [
        (
            f"Empty folders, free ports, one worker of the forge, {IDLE_SECONDS:g} s after everything "
            "was ready. Memory is the proportional set size of each service with what it keeps "
            "running. The forge starts the process that its builds are forked from, which holds torch, "
            "at its first build; some 300 MiB come with it."
        ),
        f"Load of the machine when it ended: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.",
    ]
    columns = ["what", "median", "worst", "bar"]
    Result("platform-start", "An idle `esper up`", columns, rows, notes).publish()
    met = statistics.median(seconds) <= READY_BAR and max(totals) <= MEMORY_BAR
    return 0 if met else 1


def _figures(values: list[float], digits: int) -> tuple[str, str]:
    return f"{statistics.median(values):.{digits}f}", f"{max(values):.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
