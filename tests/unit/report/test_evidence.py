from __future__ import annotations

from pathlib import Path

from esper.report.evidence import counterfactuals
from esper.report.run_folder import read_run
from samples.run_folders import grown_report, write_run


def test_every_decision_with_evidence_has_a_row(tmp_path: Path) -> None:
    drawing = counterfactuals(read_run(write_run(tmp_path, grown_report())))
    assert drawing is not None
    markup = drawing.svg()
    for part in ("grafted at step 1,600", "made permanent at step 2,100", "declined at step 3,000"):
        assert part in markup
    assert "+73.5\u202f%" in markup


def test_without_evidence_there_is_no_picture(tmp_path: Path) -> None:
    report = grown_report()
    bare = tuple(d.model_copy(update={"evidence": None}) for d in report.decisions)
    report = report.model_copy(update={"decisions": bare})
    assert counterfactuals(read_run(write_run(tmp_path, report))) is None
