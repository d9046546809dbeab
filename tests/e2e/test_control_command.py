"""`esper control` and `esper bus` on a run that trains in another process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from esper.cli.app import app
from support import forked

pytestmark = pytest.mark.slow

STOPPED = 143


def esper(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def place(valkey_place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in; what is started there finds the bus by itself."""
    monkeypatch.setenv("ESPER_REDIS_URL", valkey_place)
    monkeypatch.setenv("ESPER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run that takes commands, and whose growth does nothing by itself for long."""
    command = [
        *(sys.executable, "-m", "esper.cli", "train", "-q", "mnist1d", "--output", "run"),
        *("--steps", "2000000", "--set", "log_every=1000", "--set", "eval_every=10000"),
        *("--set", "growth.first_check=0.9", "--set", "growth.last_start=0.95"),
    ]
    with (place / "terminal.txt").open("wb") as terminal:
        process = forked.Popen(command, stdout=terminal, stderr=terminal)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until_it_listens(process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        groups = json.loads(esper("bus", "stats", "--json").stdout)["groups"]
        if any(group["group"].startswith("tolaria.") for group in groups):
            return
        assert process.poll() is None, Path("terminal.txt").read_text()
        time.sleep(0.2)
    raise AssertionError("the run does not listen")


def kernel() -> str:
    """The id of a kernel for the first layer, in the kernel store of this machine."""
    where = ("--host", "linear", "--input", "40", "--output-shape", "100")
    built = esper("kernel", "build", "--family", "low-rank", "--size", "small", *where)
    assert built.exit_code == 0, built.stderr
    words = [word.strip(".,") for word in built.stdout.split()]
    return next(word for word in words if len(word) == 64)


def events(folder: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
    return [line for line in lines if line["type"] == "event"]


def test_a_run_is_steered_from_the_command_line(place: Path, run: subprocess.Popen[bytes]) -> None:
    wait_until_it_listens(run)

    refused = esper("control", "run", "set-alpha", "0", "--alpha", "0.5")
    assert refused.exit_code == 5
    assert "refused at step" in refused.stderr

    for action in (
        ("load", "0", "--kernel", kernel()),
        ("set-alpha", "0", "--alpha", "0.5"),
        ("freeze", "0"),
        ("set-alpha", "0", "--alpha", "1"),
        ("fossilize", "0"),
        ("stop", "--reason", "enough for today"),
    ):
        done = esper("control", "run", *action)
        assert (done.exit_code, done.stdout[:12]) == (0, "done at step"), (action, done.stderr)
    assert run.wait(300) == STOPPED

    kinds = [event["kind"] for event in events(place / "run")]
    assert kinds.count("CommandCarriedOut") == 6
    assert kinds.count("CommandRefused") == 1
    assert "SeedFossilized" in kinds
    told = esper("bus", "replay", "control.results")
    assert told.stdout.count("CommandCarriedOut") == 6
