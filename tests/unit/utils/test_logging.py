from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest
import structlog

from esper.contracts.errors import ConfigError
from esper.utils.logging import get_logger, setup_logging


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_off_a_terminal_a_line_is_a_json_object_with_the_service_and_all_values() -> None:
    out = io.StringIO()
    setup_logging("tamiyo", stream=out).info("Kernel loaded", layer="body.0", seconds=0.5)
    record = json.loads(out.getvalue())
    assert record["event"] == "Kernel loaded"
    assert record["service"] == "tamiyo"
    assert record["level"] == "info"
    assert record["layer"] == "body.0"
    assert record["seconds"] == 0.5
    assert record["timestamp"].endswith("Z")


def test_on_a_terminal_a_line_is_for_reading() -> None:
    out = Terminal()
    setup_logging("tamiyo", stream=out).info("Kernel loaded", layer="body.0")
    with pytest.raises(json.JSONDecodeError):
        json.loads(out.getvalue())
    assert "Kernel loaded" in out.getvalue()


def test_records_of_the_standard_library_take_the_same_way() -> None:
    out = io.StringIO()
    setup_logging("urza", stream=out)
    logging.getLogger("other").warning("disk at %d %%", 90, extra={"volume": "a"})
    record = json.loads(out.getvalue())
    assert record["event"] == "disk at 90 %"
    assert record["volume"] == "a"
    assert record["service"] == "urza"


def test_setting_up_twice_does_not_write_twice() -> None:
    first, second = io.StringIO(), io.StringIO()
    setup_logging("one", stream=first)
    setup_logging("two", stream=second).info("hello")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_lines_below_the_level_are_dropped() -> None:
    out = io.StringIO()
    logger = setup_logging("one", "WARNING", stream=out)
    logger.info("quiet")
    logger.warning("loud")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["loud"]


def test_an_exception_comes_with_its_traceback_on_one_line() -> None:
    out = io.StringIO()
    logger = setup_logging("one", stream=out)
    try:
        int("broken")
    except ValueError:
        logger.exception("It failed")
    (line,) = out.getvalue().splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_lines_of_other_threads_name_the_service_too() -> None:
    out = io.StringIO()
    setup_logging("one", stream=out)
    thread = threading.Thread(target=lambda: get_logger("worker").info("hello"))
    thread.start()
    thread.join()
    assert json.loads(out.getvalue())["service"] == "one"


def test_the_environment_decides_level_and_form_where_the_program_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ESPER_LOG_LEVEL", "ERROR")
    monkeypatch.setenv("ESPER_LOG_FORMAT", "console")
    out = io.StringIO()
    log = setup_logging("urza", stream=out)
    log.warning("quiet")
    log.error("loud")
    assert "quiet" not in out.getvalue()
    assert "loud" in out.getvalue()
    assert not out.getvalue().startswith("{")
    setup_logging("urza", logging.WARNING, json=True, stream=out).warning("told")
    assert '"event": "told"' in out.getvalue()


def test_a_level_that_is_none_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPER_LOG_LEVEL", "LOUD")
    with pytest.raises(ConfigError, match="ESPER_LOG_LEVEL"):
        setup_logging("urza", stream=io.StringIO())
