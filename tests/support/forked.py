"""Processes forked from one that has torch loaded: real ones, without seconds of imports each.

Tests start hundreds of processes, and importing torch and the rest takes each of them seconds of
a core. A fork server imports everything once, before it has a second thread, and runs no torch
operation. It is started when the first process is asked for, one for each process of tests:

    pytest ──────── starts ───────▶ fork server
      │                                 │
      │─ argv, environ, cwd, stdio ────▶│
      │                                 │ clone(CLONE_PARENT)
      │◀─────────── its pid ─────── the process ── fork ──▶ a fork server of its own,
      │                                                     for what it starts itself
      │─ wait, signals, kill -9 ──▶ the process

`CLONE_PARENT` makes the process a child of whoever asked, not of the server, so that `Popen` waits
for it, signals it and sees its exit status as it does with any other. It has its own pid, session,
environment, folder and descriptors, reads `PYTHONPATH` and `PYTHONWARNINGS`, shows its own command
in `ps`, and ends as the interpreter ends: exit handlers, tracebacks and death by SIGINT included.

What it does not have is an interpreter of its own. What only a fresh one shows (how long it takes
to start, what it imports, an installed script, `-c` with packages missing) is tested with
`subprocess` itself. What `_is_forkable` does not know is started the usual way: on another system
than Linux, everything.
"""

from __future__ import annotations

import inspect
import os
import pickle
import platform
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing import util
from pathlib import Path
from typing import Any

# Variables that are read once, by the interpreter or when what uses them is imported: a process
# that has others than the server is started the usual way.
_READ_ONCE = (
    *("PYTHON", "LC_", "LANG", "LD_", "OMP_", "MKL_", "OPENBLAS_", "TORCH", "MPL"),
    *("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH"),
)
_READ_AGAIN = {"PYTHONPATH", "PYTHONWARNINGS", "PYTHONUNBUFFERED", "TORCHINDUCTOR_CACHE_DIR"}
_NOT_FOR_SERVER = {"PYTHONPATH", "PYTHONWARNINGS", "ESPER_FAILPOINTS"}
_INHERITED = signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}
_MACHINES = ("x86_64", "aarch64")
_TITLE_BYTES = 4000
_PROGRAM = f"""
import sys
sys.path[0] = {str(Path(__file__).parents[1])!r}
from support import fork_server
del sys.path[0]
fork_server.main(int(sys.argv[1]))
"""
HEADER = struct.Struct("!I")


class Popen(subprocess.Popen[Any]):
    """`subprocess.Popen` for commands that run this Python: forked where that is the same."""

    def _execute_child(self, *arguments: Any) -> None:
        usual = super()._execute_child  # type: ignore[misc]
        given = inspect.signature(usual).bind(*arguments).arguments
        order = _order(given)
        pid = None if order is None else server.start(order, _descriptors(given))
        if pid is None:
            usual(*arguments)
            return
        self.pid, self._child_created = pid, True
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(given[name] for name in ends))  # type: ignore[attr-defined]


def run(
    command: list[str],
    *,
    input: Any = None,
    timeout: float | None = None,
    check: bool = False,
    capture_output: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run` with :class:`Popen`."""
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is not None:
        options["stdin"] = subprocess.PIPE
    with Popen(command, **options) as process:
        try:
            out, errors = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, out, errors)
    if check:
        done.check_returncode()
    return done


def install() -> None:
    """From now on fork: also what `multiprocessing` spawns, and its fork server.

    Without this call, as in benchmarks, everything is started the usual way.
    """
    server.begin()
    util.spawnv_passfds = _spawn


def _spawn(path: Any, args: Any, passfds: Any) -> int:
    words = [os.fsdecode(word) for word in args]
    fds = tuple(sorted(int(fd) for fd in passfds))
    order = None
    # Not the tracker of resources, which needs none of what is loaded.
    if "resource_tracker" not in " ".join(words):
        order = _order({"args": words, "pass_fds": fds})
    pid = None if order is None else server.start(order, (0, 1, 2, *fds))
    return _usual_spawn(path, args, passfds) if pid is None else pid


_usual_spawn = util.spawnv_passfds


# What is asked for.


def _order(given: dict[str, Any]) -> dict[str, Any] | None:
    """What the server needs to know of a command; None where it must be started the usual way."""
    environ = dict(os.environ if given.get("env") is None else given["env"])
    if not _is_forkable(given, environ):
        return None
    try:
        prepare = pickle.dumps(given.get("preexec_fn"))
    except (pickle.PicklingError, AttributeError):
        return None
    return {
        "argv": [os.fspath(word) for word in given["args"]],
        "environ": environ,
        "cwd": str(Path(given.get("cwd") or ".").absolute()),
        "session": given.get("start_new_session", False),
        "group": given.get("process_group", -1),
        "umask": _umask() if given.get("umask", -1) == -1 else given["umask"],
        "ignored": [one for one in _INHERITED if signal.getsignal(one) is signal.SIG_IGN],
        "targets": (0, 1, 2, *given.get("pass_fds", ())),
        "prepare": prepare,
    }


def _umask() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("Umask:")[2].split()[0], 8)


def _is_forkable(given: dict[str, Any], environ: dict[str, str]) -> bool:
    words, nobody = given["args"], (None, -1)
    return (
        sys.platform == "linux"
        and platform.machine() in _MACHINES
        and isinstance(words, (list, tuple))
        and len(words) > 1
        and words[0] == sys.executable
        and given.get("executable") is None
        and not given.get("shell")
        and given.get("close_fds", True)
        and all(given.get(name) in nobody for name in ("uid", "gid", "gids"))
        and _read_once(environ) == server.environ
        and parsed(words) is not None
    )


def _read_once(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if name.startswith(_READ_ONCE) and name not in _READ_AGAIN
    }


def parsed(words: list[str]) -> tuple[str, str, list[str], list[str]] | None:
    """Split a command: how it runs ("-m", "-c" or a file), what, its arguments, `-W` options."""
    warned, rest = [], [os.fspath(word) for word in words[1:]]
    while rest and rest[0].startswith(("-W", "-B", "-u")):
        word = rest.pop(0)
        if word.startswith("-W"):
            warned.append(word[2:] or rest.pop(0))
    if len(rest) > 1 and rest[0] in {"-m", "-c"}:
        return rest[0], rest[1], rest[2:], warned
    if rest and not rest[0].startswith("-"):
        return "file", rest[0], rest[1:], warned
    return None


def _descriptors(given: dict[str, Any]) -> tuple[int, ...]:
    ends = [given["p2cread"], given["c2pwrite"], given["errwrite"]]
    own = [end if end != -1 else place for place, end in enumerate(ends)]
    return (*own, *given["pass_fds"])


class _Server:
    """The fork server as whoever asks sees it."""

    def __init__(self) -> None:
        self._connection: socket.socket | None = None
        self._lock = threading.Lock()
        self._environ = dict(os.environ)
        self._is_mine = False
        os.register_at_fork(after_in_child=self._forget)

    @property
    def environ(self) -> dict[str, str]:
        """What it has of the variables that are read once."""
        return _read_once(self._environ)

    def start(self, order: dict[str, Any], descriptors: tuple[int, ...]) -> int | None:
        """Start a process; returns its pid, or None if it cannot be done here."""
        if not self._is_mine:
            return None
        with self._lock:
            if self._connection is None:
                self._connection = _launched(self._environ)
            data = pickle.dumps(order)
            answers, theirs = socket.socketpair()
            with answers:
                self._connection.sendall(HEADER.pack(len(data)))
                socket.send_fds(self._connection, [b"."], (theirs.fileno(), *descriptors))
                self._connection.sendall(data)
                theirs.close()
                answer = pickle.loads(read(answers, length(answers)))
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def begin(self) -> None:
        """Ask a server of one's own, or the one that is known."""
        self._is_mine = True

    def serve(self, connection: socket.socket) -> None:
        """Ask the server at the other end from now on."""
        self._connection = connection
        self._environ = dict(os.environ)

    def _forget(self) -> None:
        # Its processes would not be children of one that was forked otherwise.
        self._is_mine, self._lock = False, threading.Lock()
        if self._connection is not None:
            self._connection.close()


server = _Server()


def _launched(environ: dict[str, str]) -> socket.socket:
    """Start the server; it ends when its connection does, which is when this process does."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen(
            # Room at its end for the commands that forked processes show in `ps`.
            [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), "-" * _TITLE_BYTES],
            env={name: value for name, value in environ.items() if name not in _NOT_FOR_SERVER},
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
        ).returncode = 0  # never waited for: it ends after everything here
    return ours


def read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError("the fork server ended")
        data += more
    return data


def length(connection: socket.socket) -> int:
    return int(HEADER.unpack(read(connection, HEADER.size))[0])
