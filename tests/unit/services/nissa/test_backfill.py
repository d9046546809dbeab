from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from esper.contracts.enums import RunState
from esper.contracts.errors import RunFolderError
from esper.services.nissa.backfill import batches_of, identity_of, import_folder, read_log
from esper.services.nissa.run_store import RunStore
from support import logged_runs
from support.run_deliveries import contents, like

RESUME: dict[str, Any] = {"type": "resume", "step": 20, "environment": {}}


def written(folder: Path, lines: Sequence[dict[str, Any]], *, attempts: int | None = 0) -> Path:
    """A run's folder; without `attempts` as earlier versions left it."""
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "run.jsonl").write_text(text)
    if attempts is not None:
        identity = {"run_id": "run-1", "attempts": attempts}
        (folder / "identity.json").write_text(json.dumps(identity))
    return folder


def parts(folder: Path) -> list[tuple[int, int, int]]:
    """Attempt, bytes kept, lines of every batch."""
    found = batches_of(folder, read_log(folder))
    return [(b.records.attempt, b.records.kept, len(b.records.lines)) for b in found]


def test_positions_are_bytes_of_the_file(tmp_path: Path) -> None:
    folder = written(tmp_path, logged_runs.lines())
    (batch,) = batches_of(folder, read_log(folder))
    content = (folder / "run.jsonl").read_bytes()
    for line in batch.records.lines:
        assert json.loads(content[line.position :].split(b"\n")[0]) == line.body


def test_each_attempt_has_the_lines_that_it_says_it_wrote(tmp_path: Path) -> None:
    lines = [logged_runs.START, {**RESUME, "attempt": 2}, {**RESUME, "attempt": 5}, logged_runs.END]
    sizes = [len(json.dumps(line)) + 1 for line in lines]
    assert parts(written(tmp_path, lines, attempts=7)) == [
        (1, 0, 1),
        (2, sizes[0], 1),
        (5, sizes[0] + sizes[1], 2),
    ]


def test_attempts_that_have_no_number_count_down_from_the_newest(tmp_path: Path) -> None:
    lines = [logged_runs.START, RESUME, RESUME, logged_runs.END]
    assert [part[0] for part in parts(written(tmp_path, lines, attempts=3))] == [1, 2, 3]
    assert [part[0] for part in parts(written(tmp_path / "old", lines, attempts=None))] == [0, 0, 0]


def test_a_folder_of_an_earlier_version_has_the_same_id_each_time(tmp_path: Path) -> None:
    one = identity_of(written(tmp_path / "one", logged_runs.lines(), attempts=None))
    same = identity_of(written(tmp_path / "moved", logged_runs.lines(), attempts=None))
    other = [{**logged_runs.START, "name": "another"}]
    assert one == same
    assert one != identity_of(written(tmp_path / "other", other, attempts=None))


@pytest.mark.asyncio
async def test_what_the_bus_lost_is_put_right_and_nothing_comes_twice(tmp_path: Path) -> None:
    store = await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}")
    folder = written(tmp_path / "run", logged_runs.lines())
    (whole,) = batches_of(folder, read_log(folder))
    await store.append([like(whole, lines=whole.records.lines[2:4])])
    assert (await import_folder(store, folder)).new == len(logged_runs.lines()) - 2
    assert (await import_folder(store, folder)).new == 0
    assert (await store.run("run-1")).state is RunState.FINISHED
    await store.close()


@pytest.mark.asyncio
async def test_a_run_that_was_resumed_after_it_was_imported_is_what_its_log_is(
    tmp_path: Path,
) -> None:
    store = await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}")
    lines = logged_runs.lines()
    await import_folder(store, written(tmp_path / "run", lines[:6]))
    resumed = [*lines[:4], {**RESUME, "attempt": 1}, logged_runs.step(20, 0.125)]
    folder = written(tmp_path / "run", resumed, attempts=1)
    # Of the second attempt, the bus brings only what it began with.
    (*_, second) = batches_of(folder, read_log(folder))
    await store.append([like(second, lines=second.records.lines[:1])])
    assert (await import_folder(store, folder)).new == 1
    stored = sorted(await store.lines("run-1"), key=lambda line: line.position)
    assert [line.body for line in stored] == resumed
    await store.close()


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    folder = written(tmp_path, logged_runs.lines())
    with (folder / "run.jsonl").open("a") as file:
        file.write('{"type": "st')
    assert sum(part[2] for part in parts(folder)) == len(logged_runs.lines())


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "no run.jsonl"),
        ("", "empty"),
        ("nonsense\n{}\n", "line 1: invalid literal"),
        ("[1]\n", "no JSON object"),
    ],
)
def test_a_folder_without_a_run_is_refused(tmp_path: Path, content: str | None, match: str) -> None:
    if content is not None:
        (tmp_path / "run.jsonl").write_text(content)
    with pytest.raises(RunFolderError, match=match):
        read_log(tmp_path)


def test_an_identity_that_is_damaged_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, logged_runs.lines())
    (folder / "identity.json").write_text("{}")
    with pytest.raises(RunFolderError, match=r"identity\.json"):
        identity_of(folder)
    with pytest.raises(RunFolderError, match="holds no run"):
        identity_of(tmp_path / "nowhere")


LONG = "A" * 3_000_000


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[RunStore]:
    opened = await RunStore.open(f"sqlite:///{tmp_path / 'runs.db'}")
    yield opened
    await opened.close()


@pytest.mark.asyncio
async def test_a_line_that_breaks_its_bounds_is_left_out_and_named(
    store: RunStore, tmp_path: Path
) -> None:
    lines = logged_runs.lines()
    lines[1] = {**logged_runs.step(10, 1.0), "lr": 10**400}
    lines[2] = {**logged_runs.step(10, 1.0), "alpha": {LONG: 0.5}}
    lines[3] = {"type": "of another version", "text": "A" * 1_000_001}
    lines[4] = {"type": "of another version", "text": "short"}
    taken = await import_folder(store, written(tmp_path / "run", lines))
    assert [one.partition("run.jsonl ")[2].partition(":")[0] for one in taken.refused] == [
        "line 2",
        "line 3",
        "line 4",
    ]
    assert "number" in taken.refused[0]
    assert "alpha" in taken.refused[1]
    assert taken.new == len(lines) - 3
    assert (await store.run("run-1")).state is RunState.FINISHED


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("number", "changed", "match"),
    [
        (0, {**logged_runs.START, "name": LONG}, "line 1: name: .*at most 500"),
        (3, {**RESUME, "attempt": 2**63}, "line 4: attempt: .*less than"),
    ],
)
async def test_a_run_without_a_line_that_others_rest_upon_is_refused(
    store: RunStore, tmp_path: Path, number: int, changed: dict[str, Any], match: str
) -> None:
    lines = logged_runs.lines()
    lines[number] = changed
    with pytest.raises(RunFolderError, match=match):
        await import_folder(store, written(tmp_path / "run", lines))
    assert list(await store.runs()) == []


@pytest.mark.asyncio
async def test_a_log_full_of_broken_lines_is_refused(store: RunStore, tmp_path: Path) -> None:
    broken = [{**logged_runs.step(step, 1.0), "step": -step} for step in range(1, 120)]
    with pytest.raises(RunFolderError, match=r"line 2: step.*118 more"):
        await import_folder(store, written(tmp_path / "run", [logged_runs.START, *broken]))


@pytest.mark.asyncio
@pytest.mark.parametrize("attempts", [0, 5])
@pytest.mark.parametrize(
    "change", [(0, {**logged_runs.START, "name": "thief"}), (1, logged_runs.step(10, 9.0))]
)
async def test_another_run_under_a_stored_id_is_taken_in_only_if_it_is_to_replace_it(
    store: RunStore, tmp_path: Path, attempts: int, change: tuple[int, dict[str, Any]]
) -> None:
    lines = logged_runs.lines()
    await import_folder(store, written(tmp_path / "run", lines, attempts=attempts))
    before = await contents(store, "run-1")
    lines[change[0]] = change[1]
    thief = written(tmp_path / "thief", lines, attempts=attempts)
    with pytest.raises(RunFolderError, match=r"another run under its id, run-1.*--replace"):
        await import_folder(store, thief)
    assert await contents(store, "run-1") == before
    taken = await import_folder(store, thief, replace=True)
    assert taken.new == len(lines)
    stored = {line.position: line.body for line in await store.lines("run-1")}
    assert [stored[position] for position in sorted(stored)] == lines


@pytest.mark.asyncio
async def test_a_higher_attempt_does_not_let_another_run_in(
    store: RunStore, tmp_path: Path
) -> None:
    lines = logged_runs.lines()
    await import_folder(store, written(tmp_path / "run", lines))
    lines[0] = {**logged_runs.START, "name": "thief"}
    with pytest.raises(RunFolderError, match="differ at byte 0"):
        await import_folder(store, written(tmp_path / "thief", lines, attempts=7))
    assert (await store.run("run-1")).name == logged_runs.START["name"]


@pytest.mark.asyncio
async def test_a_folder_that_was_moved_is_the_same_run(store: RunStore, tmp_path: Path) -> None:
    folder = written(tmp_path / "run", logged_runs.lines())
    await import_folder(store, folder)
    taken = await import_folder(store, folder.rename(tmp_path / "moved"))
    assert taken.new == 0
    assert (await store.run("run-1")).folder == str(tmp_path / "moved")
