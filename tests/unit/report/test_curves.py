from __future__ import annotations

from pathlib import Path

from esper.report.curves import learning_curves
from esper.report.run_folder import read_run
from samples.run_folders import grown_report, static_report, write_run


def test_every_decision_is_marked_with_its_number(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, grown_report()))
    markup = learning_curves(run).svg()
    for number in range(1, len(run.growth.decisions) + 1):
        assert f">{number}</text>" in markup
    assert "var(--band)" in markup


def test_without_a_step_log_the_curve_of_the_record_is_drawn(tmp_path: Path) -> None:
    folder = write_run(tmp_path, static_report())
    (folder / "run.jsonl").unlink()
    assert "training" in learning_curves(read_run(folder)).svg()


def test_the_metric_is_named_after_the_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path, grown_report())
    result = folder / "result.json"
    result.write_text(result.read_text().replace('"accuracy"', '"bits per character"'))
    assert "Bits per character" in learning_curves(read_run(folder)).svg()
