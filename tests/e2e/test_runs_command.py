"""`esper runs` on a store that runs were imported into, as a user types it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import Result
from pyarrow import parquet
from typer.testing import CliRunner

from esper.cli.app import app
from support import logged_runs

USAGE, FILE, REFUSED, UNAVAILABLE = 2, 4, 5, 6


def esper(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def made(folder: Path, run_id: str, **config: object) -> Path:
    folder.mkdir()
    start = {**logged_runs.START, "config": {"seed": 3, "optimizer": {"lr": 0.1}, **config}}
    lines = [start, *logged_runs.lines()[1:]]
    (folder / "run.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    identity = {"run_id": run_id, "attempts": 0}
    (folder / "identity.json").write_text(json.dumps(identity))
    return folder


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two runs, and an own store beside it."""
    monkeypatch.setenv("ESPER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ESPER_RUN_STORE", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    made(tmp_path / "one", "aaaa1111")
    made(tmp_path / "two", "bbbb2222", optimizer={"lr": 0.2})
    return tmp_path


@pytest.fixture
def imported(place: Path) -> Path:
    assert esper("runs", "import", "one", "two").exit_code == 0
    return place


def test_import_says_what_was_new_and_goes_on_after_a_folder_without_a_run(place: Path) -> None:
    (place / "empty").mkdir()
    done = esper("runs", "import", "one", "empty", "two")
    assert done.exit_code == FILE
    assert done.stdout.splitlines() == ["one: 9 new lines", "two: 9 new lines"]
    assert "empty holds no run" in done.stderr
    assert esper("runs", "import", "one").stdout == "one: 0 new lines\n"


def test_another_run_under_a_stored_id_is_refused_unless_it_is_to_replace_it(
    imported: Path,
) -> None:
    log = imported / "one" / "run.jsonl"
    log.write_text(log.read_text().replace('"name": "', '"name": "stolen ', 1))
    refused = esper("runs", "import", "one")
    assert refused.exit_code == FILE
    assert "another run under its id, aaaa1111" in refused.stderr
    assert "stolen" not in esper("runs", "list").stdout
    assert esper("runs", "import", "--replace", "one").exit_code == 0
    assert "stolen" in esper("runs", "show", "aaaa1111").stdout


def test_a_line_that_is_left_out_is_named(place: Path) -> None:
    log = place / "one" / "run.jsonl"
    log.write_text(log.read_text() + json.dumps({"type": "new", "deep": "x" * 2_000_000}) + "\n")
    done = esper("runs", "import", "one")
    assert done.exit_code == 0
    assert "line 10: the whole: a text has more than" in " ".join(done.stderr.split())


def test_list_shows_what_is_asked_for(imported: Path) -> None:
    listed = esper("runs", "list").stdout
    assert "aaaa1111" in listed
    assert "90.0" in listed
    found = json.loads(esper("runs", "list", "--text", "two", "--json").stdout)
    assert [run["run_id"] for run in found] == ["bbbb2222"]
    assert "no such runs" in esper("runs", "list", "--state", "lost").stderr
    wrong = esper("runs", "list", "--state", "runing")
    assert wrong.exit_code == USAGE
    assert "Did you mean 'running'" in wrong.stderr


@pytest.mark.parametrize("name", ["aaaa1111", "aa", "one"])
def test_a_run_is_shown_by_id_beginning_or_folder(imported: Path, name: str) -> None:
    shown = esper("runs", "show", name)
    assert shown.exit_code == 0
    assert "run aaaa1111" in shown.stdout
    assert "100 → 120" in shown.stdout
    told = json.loads(esper("runs", "show", name, "--json").stdout)
    assert told["run"]["test_metric"] == 0.9


def test_what_is_not_there_is_told_with_what_is_near(imported: Path) -> None:
    wrong = esper("runs", "show", "aaaa1112")
    assert wrong.exit_code == REFUSED
    assert "did you mean aaaa1111" in wrong.stderr
    made(imported / "three", "cccc3333")
    assert "esper runs import three" in esper("runs", "show", "three").stderr
    assert esper("runs", "show", "home").exit_code == FILE


def test_compare_shows_the_settings_that_differ(imported: Path) -> None:
    told = json.loads(esper("runs", "compare", "one", "two", "--json").stdout)
    assert told["settings"] == {"optimizer.lr": [0.1, 0.2]}
    shown = esper("runs", "compare", "one", "two").stdout
    assert "optimizer.lr" in shown
    assert "0.2" in shown


def test_export_writes_the_format_that_the_name_says(imported: Path) -> None:
    assert esper("runs", "export", "one", "--output", "curves.csv").exit_code == 0
    rows = list(csv.DictReader((imported / "curves.csv").read_text().splitlines()))
    assert esper("runs", "export", "one", "--output", "curves.parquet").exit_code == 0
    assert len(parquet.read_table(imported / "curves.parquet")) == len(rows) > 0
    log = esper("runs", "export", "one", "--format", "jsonl").stdout
    assert log.splitlines()[-1] == json.dumps(logged_runs.END, separators=(",", ":"))
    wrong = esper("runs", "export", "one", "--format", "parket")
    assert wrong.exit_code == USAGE
    assert "Did you mean 'parquet'" in wrong.stderr


def test_a_run_that_was_forgotten_can_be_imported_again(imported: Path) -> None:
    assert esper("runs", "forget", "one", "nobody").exit_code == REFUSED
    assert esper("runs", "show", "one").exit_code == 0
    assert "forgotten: aaaa1111" in esper("runs", "forget", "one").stdout
    assert esper("runs", "show", "one").exit_code == REFUSED
    assert esper("runs", "import", "one").stdout == "one: 9 new lines\n"


def test_a_store_that_cannot_be_reached_is_told(place: Path) -> None:
    away = esper("runs", "list", "--store", "postgresql://x:y@127.0.0.1:9/none")
    assert away.exit_code == UNAVAILABLE
    assert "run store" in away.stderr
    assert "x:y" not in away.stderr
    assert esper("runs", "list", "--store", "mysql://x").exit_code == USAGE


def test_the_variable_names_another_store(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPER_RUN_STORE", f"sqlite:///{place / 'elsewhere.db'}")
    assert esper("runs", "import", "one").exit_code == 0
    assert (place / "elsewhere.db").exists()
    assert not (place / "home").exists()
