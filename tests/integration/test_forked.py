"""What the fork server gives tests is a real process, to the last bit that a test may look at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support import forked

PYTHON = sys.executable
TOLD = """
import json, os, sys
seen = {"argv": sys.argv, "cwd": os.getcwd(), "pid": os.getpid(), "parent": os.getppid(),
        "session": os.getsid(0), "environ": dict(os.environ), "path": sys.path,
        "loaded": "torch" in sys.modules, "main": __name__, "umask": os.umask(0)}
print(json.dumps(seen))
"""


def told(tmp_path: Path, **options: object) -> dict[str, object]:
    program = tmp_path / "told.py"
    program.write_text(TOLD)
    with forked.Popen([PYTHON, str(program), "a", "b c"], stdout=subprocess.PIPE, **options) as it:
        found: dict[str, object] = json.loads(it.communicate()[0])
    return {**found, "known": it.pid}


def test_a_process_has_torch_loaded_and_everything_else_of_its_own(tmp_path: Path) -> None:
    environ = {**os.environ, "ONE": "1", "PYTHONPATH": "/a:/b"}
    found = told(tmp_path, env=environ, cwd=tmp_path, start_new_session=True, umask=0o027)
    assert found["loaded"], "forked, not started anew"
    assert found["argv"] == [str(tmp_path / "told.py"), "a", "b c"]
    assert found["cwd"] == str(tmp_path)
    assert found["pid"] == found["known"] == found["session"]
    assert found["parent"] == os.getpid()
    assert found["environ"] == environ
    assert found["path"][:3] == [str(tmp_path), "/a", "/b"]  # type: ignore[index]
    assert (found["main"], found["umask"]) == ("__main__", 0o027)


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("", 0, ""),
        ("import sys; sys.exit(300)", 44, ""),
        ("raise SystemExit('no, because')", 1, "no, because\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("import os; os._exit(5)", 5, ""),
        ("import os; os.abort()", -signal.SIGABRT, ""),
        ("import atexit, os; atexit.register(os._exit, 9)", 9, ""),
        ("raise KeyboardInterrupt", -signal.SIGINT, "KeyboardInterrupt\n"),
    ],
)
def test_it_ends_as_with_an_interpreter_of_its_own(code: str, status: int, said: str) -> None:
    command = [PYTHON, "-c", code]
    ends = [
        start(command, capture_output=True, text=True) for start in (forked.run, subprocess.run)
    ]
    assert [end.returncode for end in ends] == [status, status]
    assert ends[0].stderr == ends[1].stderr
    assert ends[0].stderr.endswith(said)


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_signals_reach_it_and_end_it(word: signal.Signals) -> None:
    waiting = [PYTHON, "-c", "print(flush=True); input()"]
    with forked.Popen(
        waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as it:
        it.stdout.readline()
        assert psutil.Process(it.pid).cmdline()[0] == PYTHON
        assert "input()" in " ".join(psutil.Process(it.pid).cmdline())
        os.kill(it.pid, word)
        assert it.wait() == -word


def test_what_is_ignored_stays_ignored_and_a_broken_pipe_is_an_error() -> None:
    code = "import signal as s; print(int(s.getsignal(s.SIGHUP)), int(s.getsignal(s.SIGPIPE)))"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        done = forked.run([PYTHON, "-c", code], capture_output=True, text=True)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert done.stdout == "1 1\n"


def test_what_it_starts_is_forked_too_and_is_its_own_child() -> None:
    code = (
        "import os, subprocess, sys\n"
        "code = 'import os, sys; print(os.getppid(), \"torch\" in sys.modules)'\n"
        "print(os.getpid(), subprocess.check_output([sys.executable, '-c', code], text=True))"
    )
    words = forked.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout
    own, parent, loaded = words.split()
    assert (parent, loaded) == (own, "True")


def test_nothing_of_it_is_left_when_it_is_killed() -> None:
    code = "print(flush=True); input()"
    with forked.Popen([PYTHON, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as it:
        it.stdout.readline()
        family = psutil.Process(it.pid).children(recursive=True)
        it.kill()
    assert not psutil.wait_procs(family, timeout=60)[1]


def test_a_folder_that_is_not_there_is_an_error_here(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        forked.run([PYTHON, "-c", ""], cwd=tmp_path / "nowhere")


def test_other_settings_for_torch_make_a_fresh_process(tmp_path: Path) -> None:
    found = told(tmp_path, env={**os.environ, "OMP_NUM_THREADS": "3"})
    assert not found["loaded"]
