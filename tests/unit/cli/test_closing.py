from __future__ import annotations

import io
from pathlib import Path

from esper.cli.closing import print_closing
from esper.cli.console import Terminal
from esper.contracts.growth import GrowthReport
from esper.report.write import write_report
from esper.services.tolaria.result import RunResult
from samples.run_folders import grown_report, static_report, write_run


def closing(folder: Path, report: GrowthReport) -> str:
    written = write_report(write_run(folder, report))
    facts = {"folder": folder, "growth_metric": 0.9, "grown": True}
    result = RunResult.model_validate({**written.run.result, **facts})
    stream = io.StringIO()
    print_closing(Terminal(file=stream, width=200), result, written)
    return stream.getvalue()


def test_the_closing_table_has_the_numbers_of_the_record(tmp_path: Path) -> None:
    text = closing(tmp_path, grown_report())
    for part in (
        "15,210",
        "32,610",
        "91.3\u202f%",
        "33.0\u202fG",
        "74.0\u202fG (2.24\u202f×)",
        "31.0\u202fG (0.94\u202f×)",
        "6.00\u202fG (0.18\u202f×)",
        "3.36\u202f×",
        "conv1d_stack/m",
        "+73.5\u202f%",
    ):
        assert part in text
    assert str(tmp_path / "report.html") in text
    assert str(tmp_path / "model.pt") in text


def test_where_nothing_grew_there_is_no_table_of_kernels(tmp_path: Path) -> None:
    text = closing(tmp_path, static_report())
    assert "Nothing was added" in text
    assert "replacing" not in text
