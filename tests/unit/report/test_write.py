from __future__ import annotations

from pathlib import Path

from esper.report.write import write_report
from samples.run_folders import grown_report, static_report, write_run


def test_a_report_is_a_page_and_its_pictures(tmp_path: Path) -> None:
    written = write_report(write_run(tmp_path, grown_report()))
    names = [path.name for path in written.pictures]
    assert names == [
        "curve-metric.svg",
        "curve-loss.svg",
    ]
    assert all(path.read_text().startswith("<svg ") for path in written.pictures)
    assert written.page.read_text(encoding="utf-8").endswith("</html>\n")


def test_writing_twice_changes_nothing_and_leaves_no_partial_file(tmp_path: Path) -> None:
    folder = write_run(tmp_path, static_report())
    first = write_report(folder).page.read_bytes()
    assert write_report(folder).page.read_bytes() == first
    assert not list(folder.glob("*.part"))


def test_a_record_with_nothing_in_it_still_gives_a_page(tmp_path: Path) -> None:
    empty = static_report().model_copy(
        update={
            "curve": (),
            "races": (),
            "decisions": (),
            "before": (),
            "after": (),
            "cost": static_report().cost.model_copy(update={"static": 0.0}),
        }
    )
    folder = write_run(tmp_path, empty.model_copy(update={"curve": static_report().curve[:1]}))
    assert [path.name for path in write_report(folder).pictures] == [
        "curve-metric.svg",
        "curve-loss.svg",
    ]
