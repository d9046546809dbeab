from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

import pytest
import typer
from typer.testing import CliRunner

from esper.cli.exit_codes import ExitCode
from esper.cli.late import Session, carry_out
from esper.contracts.errors import ConfigError
from esper.utils.extras import EXTRA_OF

WITHOUT_EXTRAS = (
    "blueprints",
    "doctor",
    "export",
    "inspect",
    "kernel_build",
    "kernel_file",
    "report",
    "train",
)
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


def without(packages: Sequence[str], code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, in which these packages are not installed."""
    missing = f"import sys\nsys.modules.update(dict.fromkeys({list(packages)!r}))\n"
    return subprocess.run(
        [sys.executable, "-c", missing + code], check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("words", "missing", "extra"),
    [
        (["kernel", "search", "--urza", "http://127.0.0.1:1"], "httpx", "library"),
        # Both extras bring it; the smaller one would not be enough.
        (["urza", "serve"], "cryptography", "urza"),
        (["tezzeret", "prove", "low-rank/small", "--host", "linear"], "psutil", "tezzeret"),
    ],
)
def test_a_command_that_needs_an_extra_names_it(words: list[str], missing: str, extra: str) -> None:
    done = without([missing], f"from esper.cli.app import app\napp({words!r})")
    assert done.returncode == ExitCode.USAGE, done.stderr
    assert f"pip install 'esper-morphogenetic[{extra}]'" in done.stderr


def test_commands_that_need_no_service_need_no_extra() -> None:
    modules = ["esper.cli.app", *(f"esper.cli.work.{name}" for name in WITHOUT_EXTRAS)]
    done = without(list(EXTRA_OF), "\n".join(f"import {module}" for module in modules))
    assert done.returncode == 0, done.stderr
