from __future__ import annotations

import io

import pytest
from rich.console import Console

from esper.cli.console import THEME, output, print_error


def written(*, terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=40, theme=THEME)
    print_error(console, "the file kernel.safetensors is not a kernel that can be used")
    return stream.getvalue()


def test_an_error_is_one_line_however_narrow_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert written(terminal=True).count("\n") == 1


def test_errors_are_red_on_a_terminal_and_plain_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[31m" in written(terminal=True)
    assert "\x1b" not in written(terminal=False)


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[31m" not in written(terminal=True)


def test_results_that_go_into_a_file_hold_no_escape_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output().print("[good]fine[/good]")
    assert capsys.readouterr().out == "fine\n"
