from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Iterator
from types import ModuleType

import pytest
import typer
from typer.testing import CliRunner

from esper.cli.app import app
from esper.cli.exit_codes import ExitCode
from esper.cli.late import Session
from esper.cli.late import carry_out
from esper.contracts.errors import ConfigError

NAME = "esper.cli.work.for_this_test"
Work = Callable[[object], int]


@pytest.fixture
def work() -> Iterator[Callable[[Work], None]]:
    """Puts a function in the place of a work module's `run`."""

    def put(run: Work) -> None:
        module = ModuleType(NAME)
        vars(module)["run"] = run
        sys.modules[NAME] = module

    yield put
    sys.modules.pop(NAME, None)


def outcome(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()

    @app.command()
    def command(context: typer.Context, verbose: bool = False) -> None:
        context.obj = Session()
        carry_out(context, "for_this_test", "request", verbose=verbose)

    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def raising(error: BaseException) -> Work:
    def run(request: object) -> int:
        raise error

    return run


def test_work_is_given_the_request_and_its_status_is_the_exit_status(
    work: Callable[[Work], None],
) -> None:
    work(lambda request: 7 if request == "request" else 0)
    assert outcome()[0] == 7


def test_an_expected_error_is_one_line_without_a_traceback(work: Callable[[Work], None]) -> None:
    work(raising(ConfigError("seed is -1; expected 0 or more")))
    status, text = outcome()
    assert status == ExitCode.USAGE
    assert text.strip() == "Error: seed is -1; expected 0 or more"


def test_verbose_shows_where_an_expected_error_comes_from(work: Callable[[Work], None]) -> None:
    work(raising(ConfigError("seed is -1")))
    assert "Traceback" in outcome("--verbose")[1]


def test_an_unexpected_error_shows_its_traceback_and_is_called_a_mistake(
    work: Callable[[Work], None],
) -> None:
    work(raising(ZeroDivisionError("division by zero")))
    status, text = outcome()
    assert status == ExitCode.BUG
    assert "Traceback" in text
    assert "mistake in Esper" in text


def test_ctrl_c_has_the_status_that_shells_expect(work: Callable[[Work], None]) -> None:
    work(raising(KeyboardInterrupt()))
    assert outcome()[0] == 130


def test_square_brackets_in_a_message_are_not_markup(work: Callable[[Work], None]) -> None:
    work(raising(ConfigError("shape [/bold] is [1, 2]")))
    assert "shape [/bold] is [1, 2]" in outcome()[1]


def test_a_command_that_needs_an_extra_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    for module in [name for name in sys.modules if name.startswith("esper.services.urza.client.s")]:
        monkeypatch.delitem(sys.modules, module)
    result = CliRunner().invoke(app, ["kernel", "search", "--urza", "http://127.0.0.1:1"])
    assert result.exit_code == ExitCode.USAGE
    assert "pip install 'esper-morphogenetic[library]'" in result.output
