"""During a run every line names it, whichever thread wrote it."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog

from esper.utils.logging import bind_run, get_logger, setup_logging


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    setup_logging("tolaria", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_lines_of_every_thread_and_library_name_the_run_until_it_is_over(out: io.StringIO) -> None:
    context = bind_run("run-1", rank=3)
    context.generation = 2
    get_logger("tolaria").info("here")
    thread = threading.Thread(target=lambda: get_logger("oona").info("beside"))
    thread.start()
    thread.join()
    logging.getLogger("library").warning("elsewhere")
    context.unbind()
    context.unbind()
    get_logger("tolaria").info("after")
    *during, after = _lines(out)
    assert len(during) == 3
    for line in during:
        assert (line["run_id"], line["rank"], line["generation"]) == ("run-1", 3, 2)
    assert "run_id" not in after


def test_of_two_runs_each_counts_for_its_own_thread_and_neither_for_others(
    out: io.StringIO,
) -> None:
    both = threading.Barrier(2)

    def run(name: str) -> None:
        context = bind_run(name)
        both.wait(30)
        get_logger(name).info("step")
        both.wait(30)
        context.unbind()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, ["run-1", "run-2"]))
    assert {(line["logger"], line["run_id"]) for line in _lines(out)} == {
        ("run-1", "run-1"),
        ("run-2", "run-2"),
    }


def test_what_a_line_says_itself_stands(out: io.StringIO) -> None:
    context = bind_run("run-1")
    get_logger("nissa").info("alert", run_id="run-9")
    context.unbind()
    assert _lines(out)[0]["run_id"] == "run-9"
