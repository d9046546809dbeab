from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from esper.cli.console import (
    Terminal,
    output,
    print_error,
    print_facts,
    print_json,
    print_table,
    say,
    visible,
)

EVIL = "\x1b]0;owned\x07\x1b[31mRED\r\x9b2J\u202e"


def console(*, terminal: bool = False, width: int = 40) -> tuple[Terminal, io.StringIO]:
    stream = io.StringIO()
    return Terminal(file=stream, force_terminal=terminal, width=width), stream


def written(*, terminal: bool) -> str:
    target, stream = console(terminal=terminal)
    print_error(target, "the file kernel.safetensors is not a kernel that can be used")
    return stream.getvalue()


def table(names: list[str], *, terminal: bool = False, width: int = 40) -> str:
    target, stream = console(terminal=terminal, width=width)
    rows = [(name, "finished", Text("1,000", style="figure")) for name in names]
    print_table(target, ("name", "state", "steps"), rows, right=("steps",))
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
    say(output(), ("fine", "good"))
    assert capsys.readouterr().out == "fine\n"


def test_a_name_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output().print("[/foo] and [bold]b[/bold]")
    assert capsys.readouterr().out == "[/foo] and [bold]b[/bold]\n"
    assert "[/foo]" in table(["[/foo]"], terminal=True)


def test_off_a_terminal_a_table_is_columns_that_nothing_wraps_or_cuts() -> None:
    name = "a name of many words, " * 9
    assert table(["b", name, "漢字"]).splitlines() == [
        f"{'name':{len(name)}}  state     steps",
        f"{'b':{len(name)}}  finished  1,000",
        f"{name}  finished  1,000",
        f"{'漢字':{len(name) - 2}}  finished  1,000",
    ]


def test_on_a_terminal_a_table_fits() -> None:
    lines = table(["a-name-of-very-many-letters-that-is-too-long"], terminal=True).splitlines()
    assert len(lines) > 4
    assert all(len(line) <= 40 for line in lines if "\x1b" not in line)


@pytest.mark.parametrize("terminal", [True, False])
def test_control_characters_of_a_name_are_shown_wherever_it_is_printed(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    target, stream = console(terminal=terminal, width=300)
    print_table(target, ("name",), [(EVIL,), (Text(EVIL, style="bad"),)])
    print_facts(target, {"name": EVIL})
    print_error(target, f"no run {EVIL}")
    say(target, EVIL, (EVIL, "name"))
    target.print(EVIL)
    said = stream.getvalue()
    assert said.count(r"\x1b]0;owned") == 7
    assert "\x1b]" not in said
    assert not set("\x07\r\x9b\u202e") & set(said)


def test_a_name_with_an_end_of_line_is_one_row() -> None:
    assert table(["a\nb finished"]).splitlines()[1].startswith(r"a\nb finished")


@given(st.text())
def test_what_is_visible_can_be_encoded_and_controls_nothing(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert all(letter == "\n" or not 0 <= ord(letter) < 32 for letter in shown)
    assert visible(shown) == shown


def test_json_says_the_name_itself_without_its_control_characters() -> None:
    target, stream = console()
    value = {"name": EVIL, "loss": float("nan"), "path": Path("a"), "long": "word " * 40}
    print_json(target, value)
    text = stream.getvalue()
    assert not set(EVIL[0] + "\x07\r\x9b\u202e") & set(text)
    read = json.loads(text)
    assert read == {**value, "loss": None, "path": "a"}


def run(code: str, **streams: int) -> subprocess.CompletedProcess[str]:
    head = "from esper.cli.console import diagnostics, output, print_table, say\n"
    return subprocess.run(
        [sys.executable, "-c", head + code], check=False, text=True, **{"stderr": -1, **streams}
    )


def closed_pipe() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_is_gone_silences_the_console_and_ends_nothing(
    stream: str, tmp_path: Path
) -> None:
    kind = "output" if stream == "stdout" else "diagnostics"
    write = closed_pipe()
    code = (
        f"console = {kind}()\n"
        "for _ in range(3):\n"
        "    say(console, 'word')\n"
        "assert console.quiet\n"
        f"open({str(tmp_path / 'went on')!r}, 'w')\n"
    )
    done = run(code, **{stream: write})
    os.close(write)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert (tmp_path / "went on").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is full")
def test_a_full_disk_is_told_in_one_line_and_ends_no_training() -> None:
    with Path("/dev/full").open("w") as full:
        done = run("say(output(), 'a result')", stdout=full.fileno())
        assert done.returncode == 1
        assert done.stderr.count("No space left on device") == 2
        assert "CheckpointError: standard output cannot be written" in done.stderr
        code = "say(diagnostics(), 'step 1')\nsay(diagnostics(), 'step 2')"
        assert run(code, stderr=full.fileno()).returncode == 0


def test_a_stream_that_was_never_open_is_no_failure() -> None:
    shell = f'{sys.executable} -m esper.cli status >&- 2>&-; echo "status $?"'
    done = subprocess.run(shell, shell=True, check=False, capture_output=True, text=True)
    assert done.stdout == "status 1\n"
