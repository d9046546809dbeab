from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from esper.cli.exit_codes import ExitCode
from esper.cli.noun import Noun
from esper.contracts.errors import ConfigError
from esper.utils.extras import EXTRA_OF


def outcome(body: Callable[[], int | None], *arguments: str) -> tuple[int, str]:
    """What a command comes to whose body is this one."""
    noun = Noun()

    @noun.command("it", "esper it")
    def it(*, verbose: bool = False) -> int | None:
        return body()

    result = CliRunner().invoke(noun.app, list(arguments))
    return result.exit_code, result.output


def raising(error: BaseException) -> Callable[[], int]:
    def body() -> int:
        raise error

    return body


def test_what_a_command_returns_is_the_exit_status() -> None:
    assert outcome(lambda: 7)[0] == 7
    assert outcome(lambda: None)[0] == 0


def test_a_command_stays_a_function_that_can_be_called() -> None:
    noun = Noun("Group.")

    @noun.command("double", "esper double 3")
    def double(*, number: int) -> int:
        return 2 * number

    assert double(number=3) == 6


def test_help_ends_with_the_examples_whatever_stands_in_them() -> None:
    text = outcome(lambda: 0, "--help")[1]
    assert "$ esper it" in text


def test_a_dataclass_stands_for_its_fields_as_options() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Place:
        host: Annotated[str | None, typer.Option(help="Host.")] = None
        size: Annotated[int, typer.Option("--input", help="Size.")] = 3

    noun, seen = Noun(), []

    def build(*, name: Annotated[str, typer.Argument()], place: Place) -> None:
        seen.append((name, place))

    build.__annotations__["place"] = Place  # a class of this function is no global name
    noun.command("build")(build)
    assert CliRunner().invoke(noun.app, ["a", "--host", "b"]).exit_code == 0
    assert CliRunner().invoke(noun.app, ["a", "--input", "4"]).exit_code == 0
    assert seen == [("a", Place(host="b")), ("a", Place(size=4))]


def test_an_expected_error_is_one_line_without_a_traceback() -> None:
    status, text = outcome(raising(ConfigError("seed is -1; expected 0 or more")))
    assert status == ExitCode.USAGE
    assert text.strip() == "Error: seed is -1; expected 0 or more"


def test_verbose_shows_where_an_expected_error_comes_from() -> None:
    assert "Traceback" in outcome(raising(ConfigError("seed is -1")), "--verbose")[1]


def test_an_unexpected_error_shows_its_traceback_and_is_called_a_mistake() -> None:
    status, text = outcome(raising(ZeroDivisionError("division by zero")))
    assert status == ExitCode.BUG
    assert "Traceback" in text
    assert "mistake in Esper" in text


def test_ctrl_c_has_the_status_that_shells_expect() -> None:
    assert outcome(raising(KeyboardInterrupt()))[0] == 130


def test_a_reader_that_is_gone_is_no_failure() -> None:
    assert outcome(raising(BrokenPipeError())) == (0, "")


def test_square_brackets_in_a_message_are_not_markup() -> None:
    assert "shape [/bold] is [1, 2]" in outcome(raising(ConfigError("shape [/bold] is [1, 2]")))[1]


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
        (["tezzeret", "run", "--urza", "http://127.0.0.1:1"], "psutil", "tezzeret"),
        (["runs", "import", "."], "sqlalchemy", "nissa"),
    ],
)
def test_a_command_that_needs_an_extra_names_it(words: list[str], missing: str, extra: str) -> None:
    done = without([missing], f"from esper.cli.app import app\napp({words!r})")
    assert done.returncode == ExitCode.USAGE, done.stderr
    assert f"pip install 'esper-morphogenetic[{extra}]'" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["runs", "list", "--help"],
        ["blueprints", "list"],
        ["doctor"],
        ["inspect", "digits"],
        ["train", "-q", "digits", "--dry-run"],
    ],
    ids=" ".join,
)
def test_help_and_commands_that_need_no_service_need_no_extra(words: list[str]) -> None:
    # The data of a quick-start is no service: digits comes from a package of the extra `data`.
    services = [package for package, extra in EXTRA_OF.items() if extra != "data"]
    done = without(services, f"from esper.cli.app import app\napp({words!r})")
    assert done.returncode == 0, done.stderr


def test_a_docstring_is_the_help_of_a_command_and_of_its_options() -> None:
    noun = Noun()

    @noun.command("it")
    def it(
        *, name: Annotated[str, typer.Argument(metavar="NAME")], size: int = 3, plain: bool = False
    ) -> None:
        """Do it.

        A line of its own,
        and another.

        Options:
            name: Who: people
                and others.
            size: How large.
        """

    text = CliRunner().invoke(noun.app, ["--help"]).output
    for line in ("Do it.", "A line of its own,", "Who: people and others.", "How large."):
        assert line in text
    assert "Options:" not in text
    assert "A line of its own, and another." not in text


def test_a_command_may_await_and_its_errors_end_in_a_line() -> None:
    noun = Noun()

    @noun.command("wait")
    async def wait(*, bad: bool = False) -> int:
        await asyncio.sleep(0)
        if bad:
            raise ConfigError("no good")
        return 5

    assert CliRunner().invoke(noun.app, []).exit_code == 5
    result = CliRunner().invoke(noun.app, ["--bad"])
    assert (result.exit_code, result.output.strip()) == (ExitCode.USAGE, "Error: no good")
