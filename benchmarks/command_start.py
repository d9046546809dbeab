"""What it takes to start the `esper` command: processor time of an answer that needs no work.

    python -m benchmarks.command_start [--rounds 5]

The exit status is 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from benchmarks.results import Result

BAR_SECONDS = 0.5
COMMANDS = (("--help",), ("--version",), ("train", "--help"), ("urza", "serve", "--help"))


def seconds(*words: str) -> float:
    """Processor time of one call."""
    before = os.times()
    command = [sys.executable, "-m", "esper.cli", *words]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 commands of this file
    after = os.times()
    spent = after.children_user + after.children_system
    return spent - before.children_user - before.children_system


def main() -> int:
    """Measure, publish, and say whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    taken = {words: [seconds(*words) for _ in range(rounds)] for words in COMMANDS}
    rows = [
        [f"`esper {' '.join(words)}`", f"{statistics.median(all_):.2f}", f"{max(all_):.2f}"]
        for words, all_ in taken.items()
    ]
    notes = [f"Bar: the median at most {BAR_SECONDS:g} s."]
    columns = ["command", "median, s", "worst, s"]
    Result("command-start", "Starting the command", columns, rows, notes).publish()
    return 0 if max(map(statistics.median, taken.values())) <= BAR_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
