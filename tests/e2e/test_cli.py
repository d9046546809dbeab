"""The command as a user runs it: real processes, real training, real files."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from esper.contracts.growth import GrowthReport
from esper.report import wording
from support import forked

pytestmark = pytest.mark.slow

ESPER = [sys.executable, "-m", "esper.cli"]
STEPS = 600


def esper(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return forked.run(
        [*ESPER, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "120"},
    )


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the main job, short, made by the command itself."""
    folder = tmp_path_factory.mktemp("work")
    done = esper(
        "train",
        "--quick-start",
        "mnist1d",
        "--steps",
        str(STEPS),
        "--output",
        "first",
        folder=folder,
    )
    assert done.returncode == 0, done.stderr
    (folder / "first" / "terminal.txt").write_text(done.stdout + done.stderr)
    return folder / "first"


def report_of(folder: Path) -> GrowthReport:
    return GrowthReport.model_validate_json((folder / "report.json").read_bytes())


def page_of(folder: Path) -> str:
    html = (folder / "report.html").read_text(encoding="utf-8")
    return re.sub(r"<[^>]+>", "", html).replace("&#39;", "'").replace("&#34;", '"')


@pytest.mark.timeout(900)
def test_a_run_leaves_everything_that_the_help_promises(run_folder: Path) -> None:
    for name in (
        "config.yaml",
        "run.jsonl",
        "checkpoint.pt",
        "report.json",
        "result.json",
        "model.pt",
        "report.html",
        "curve-metric.svg",
        "curve-loss.svg",
    ):
        assert (run_folder / name).stat().st_size > 0, name


def test_events_are_told_as_they_happen_and_the_table_closes_the_run(run_folder: Path) -> None:
    text = (run_folder / "terminal.txt").read_text()
    report = report_of(run_folder)
    assert text.count("race ") >= len(report.races)
    for decision in report.decisions:
        if decision.verdict == "graft":
            assert f"step {decision.step}/{STEPS}" in text
    assert wording.count(report.parameters_before) in text
    assert wording.count(report.parameters_after) in text
    assert wording.multiple(report.cost.multiple) in text
    assert "\x1b" not in text


def test_the_numbers_on_the_page_are_those_of_the_record(run_folder: Path) -> None:
    report, page = report_of(run_folder), page_of(run_folder)
    result = json.loads((run_folder / "result.json").read_text())
    assert wording.percent(result["test_metric"]) in page
    assert wording.multiple(report.cost.multiple) in page
    for flops in (report.cost.host, report.cost.shadow, report.cost.evaluation):
        assert wording.compact(flops) in page
    for decision in report.decisions:
        assert f"step {decision.step:,}" in page
        if decision.evidence is not None:
            assert wording.signed_percent(decision.evidence.gain) in page
            assert wording.signed_percent(decision.evidence.ci_low) in page
    for race in report.races:
        for rung in race.rungs:
            for standing in rung.standings:
                if standing.net_gain is not None:
                    assert wording.signed_percent(standing.net_gain) in page


def test_the_report_can_be_written_again_from_the_folder_alone(run_folder: Path) -> None:
    before = (run_folder / "report.html").read_bytes()
    assert esper("report", str(run_folder), folder=run_folder).returncode == 0
    assert (run_folder / "report.html").read_bytes() == before


def test_the_exported_model_runs_where_esper_is_not(run_folder: Path, tmp_path: Path) -> None:
    done = esper("export", str(run_folder), "-o", str(tmp_path / "model.pt"), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    code = (
        "import sys; sys.modules['esper'] = None; import torch; "
        "model = torch.load('model.pt', weights_only=False); "
        "assert model(torch.zeros(3, 40)).shape == (3, 10); "
        "assert not [m for m in sys.modules if m.startswith('esper.')]"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_inspect_shows_the_slots_of_the_run(run_folder: Path) -> None:
    done = esper("inspect", str(run_folder), "--json", folder=run_folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["parameters"] == report_of(run_folder).parameters_after
    states = [s["state"] for layer in found["layers"].values() for s in layer["slots"]]
    grown = sum(layer.grown for layer in report_of(run_folder).after)
    assert len([state for state in states if state != "dormant"]) == grown


def test_a_second_run_into_the_same_folder_is_refused(run_folder: Path) -> None:
    before = (run_folder / "result.json").read_bytes()
    done = esper("train", "-q", "mnist1d", "-o", str(run_folder), folder=run_folder)
    assert done.returncode == 4
    assert "another run" in done.stderr
    assert (run_folder / "result.json").read_bytes() == before


def test_a_dry_run_shows_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    done = esper("train", "-q", "digits", "--steps", "70", "--dry-run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "70 of batch" in done.stdout
    assert "flat 64 → 64" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_data_that_cannot_be_had_has_its_own_status(tmp_path: Path) -> None:
    done = esper("train", "-q", "text", "--set", "data_args.path=nowhere.txt", folder=tmp_path)
    assert done.returncode == 3
    assert "nowhere.txt" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_static_run_has_a_page_as_well(tmp_path: Path) -> None:
    done = esper(
        "train", "-q", "digits", "--steps", "60", "--no-growth", "-o", "r", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "Growth was off" in page_of(tmp_path / "r")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_a_stopped_run_leaves_a_checkpoint_and_says_how_to_go_on(
    tmp_path: Path, signum: signal.Signals, status: int
) -> None:
    command = [*ESPER, "train", "-q", "digits", "--steps", "1000000", "-o", "r"]
    process = forked.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "r" / "run.jsonl"
    deadline = time.monotonic() + 300
    while not (log.exists() and '"type":"step"' in log.read_text(encoding="utf-8")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signum)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == status
    assert "esper train --resume r" in errors
    assert (tmp_path / "r" / "checkpoint.pt").exists()
    assert not (tmp_path / "r" / "result.json").exists()
